"""The one place that knows what fairseq needs on today's Python, torch and numpy.

Each mend is one function: it names what breaks and since when, what it does about it, and
does nothing where nothing is broken. They act on fairseq (or numpy) itself, so they hold for
every task run through the plugin, and ``apply`` may be called any number of times.
"""

import argparse
import ast
import copy
import functools
import importlib.util
import inspect
import logging
import os
import pickle
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from fairseq import checkpoint_utils, models, options, utils
from fairseq.data import Dictionary, data_utils, indexed_dataset, iterators
from fairseq.distributed import utils as distributed_utils
from fairseq.file_io import PathManager
from fairseq.models import BaseFairseqModel, distributed_fairseq_model
from fairseq.models.lstm import LSTMEncoder
from fairseq.search import DiverseBeamSearch, LexicallyConstrainedBeamSearch
from fairseq.sequence_generator import (
    EnsembleModelWithAlignment,
    SequenceGenerator,
    SequenceGeneratorWithAlignment,
)
from fairseq.sequence_scorer import SequenceScorer
from fairseq.tasks import TASK_REGISTRY
from fairseq.tasks.fairseq_task import FairseqTask
from fairseq.tasks.sentence_prediction import SentencePredictionTask
from fairseq.trainer import Trainer
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import nn

from fairseq_lstmn.checkpoints import State, damage, dictionaries, misfit, resume, writing
from fairseq_lstmn.data import binarised, loader_threads
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.embeddings import weights_in_checkpoint
from fairseq_lstmn.modules.word_embedding import WordEmbedding
from fairseq_lstmn.patches import distributed_utils as patched_distributed
from fairseq_lstmn.patches import (
    fairseq_model,
    fairseq_task,
    fitting,
    lstm,
    search,
    sentence_prediction,
    sequence_generator,
    sequence_scorer,
    third_party_warnings,
)
from fairseq_lstmn.patches import options as patched_options
from fairseq_lstmn.patches import trainer as patched_trainer
from fairseq_lstmn.patches import utils as patched_utils
from fairseq_lstmn.training import carried, finite

logger = logging.getLogger(__name__)

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")

FULL_UNPICKLING = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def apply() -> None:
    """Mend fairseq; does nothing where nothing is needed."""
    for mend in MENDS:
        mend()


def restrict_checkpoint_loading() -> None:
    """Checkpoints may hold tensors, plain values and two types of fairseq's, nothing else.

    torch loads with ``weights_only=True``, which refuses the ``argparse.Namespace`` that
    fairseq stores for every model without a dataclass config (resume, validate, generate,
    eval-lm, EMA), and the placeholder it sends between processes on resume. Both only carry
    data, so both are allowed; a file that holds anything else is refused in one line. torch's
    own ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1`` lifts the restriction, with a warning. A file with a
    wrong bit, which torch loads with a wrong weight, is told by its checksums.
    """
    torch.serialization.add_safe_globals([argparse.Namespace, distributed_utils._TensorPlaceholder])
    # fairseq calls both through the module; only one of its examples imports one by name
    _wrap(checkpoint_utils, "load_checkpoint_to_cpu", _load_or_refuse)
    _wrap(checkpoint_utils, "load_ema_from_checkpoint", _load_ema_or_refuse)


def _load_or_refuse(
    load: Callable[Concatenate[str, Rest], Result],
    path: str,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    if _unpickles_everything():
        _warn_of_full_unpickling(path)
    try:
        with damage.checked_loading():
            return load(path, *args, **kwargs)
    except Exception as error:  # a damaged file can end in any of them
        forbidden = re.search(r"GLOBAL (\S+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and forbidden:
            raise InputError(
                f"{path}: refused, because it holds {forbidden[1]}, not only tensors and plain"
                f" values, and so could run code; if you trust it, set {FULL_UNPICKLING}=1"
            ) from error
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 120)
        raise damage.DamagedCheckpoint(
            f"{path}: cannot be read as a fairseq checkpoint ({reason})"
        ) from error


def _load_ema_or_refuse(load: Callable[[str], Result], fpath: str) -> Result:
    return _load_or_refuse(load, fpath)


def _unpickles_everything() -> bool:
    return os.getenv(FULL_UNPICKLING, "").lower() in ("1", "y", "yes", "true")  # torch's rule


@functools.cache  # once for each file
def _warn_of_full_unpickling(path: str) -> None:
    logger.warning(
        "%s: unpickled in full, which runs any code hidden in it; do this only with files you"
        " trust (%s=%s)",
        path,
        FULL_UNPICKLING,
        os.getenv(FULL_UNPICKLING, ""),
    )


def name_checkpoints_that_do_not_fit() -> None:
    """A checkpoint of another size than the data's dictionaries ask for is named in one line.

    Every fairseq ends in a list of all such tensors, and of an ensemble names no file. One whose
    weights are no numbers is named as well, where fairseq answers nonsense.
    """
    _wrap(checkpoint_utils, "load_model_ensemble_and_task", _load_one_by_one)


def _load_one_by_one(
    load: Callable[..., tuple[list[BaseFairseqModel], Any, FairseqTask]],
    filenames: Iterable[str],
    arg_overrides: dict[str, Any] | None = None,
    task: FairseqTask | None = None,
    *args: object,
    **kwargs: object,
) -> tuple[list[BaseFairseqModel], Any, FairseqTask | None]:
    ensemble, cfg = [], None
    for filename in filenames:
        try:
            with weights_in_checkpoint():
                models, cfg, task = load([filename], arg_overrides, task, *args, **kwargs)
        except dictionaries.OtherWords as error:
            raise InputError(f"{filename}: {error}") from error
        except RuntimeError as error:
            sizes = misfit.sizes(error)
            if sizes is None:
                raise
            weight, held, needed = sizes
            raise InputError(
                f"{filename}: {weight} is ({held}), but with the dictionaries of this data it is"
                f" ({needed})"
            ) from error
        for model in models:
            finite.check_weights(model, filename)
        ensemble += models
    return ensemble, cfg, task


def name_what_does_not_fit() -> None:
    """A task, criterion or checkpoint that a training's model is not for is named in one line.

    Every fairseq ends with a traceback, of a wrong task or criterion somewhere in the first update.
    """
    _wrap(options, "parse_args_and_arch", fitting.parse)
    _wrap(models, "build_model", fitting.build_model)
    _wrap(Trainer, "load_checkpoint", fitting.load_weights)
    _wrap(checkpoint_utils, "load_checkpoint", fitting.load_or_begin)


def tell_dictionaries_apart() -> None:
    """A model is not used with another dictionary that happens to have the same size.

    Every fairseq does so, silently, also with one model of an ensemble and where a training is
    resumed.
    """
    _wrap(FairseqTask, "state_dict", dictionaries.state_with_dictionaries)
    _wrap(FairseqTask, "load_state_dict", dictionaries.load_state_of_same_dictionaries)
    _wrap(checkpoint_utils, "load_checkpoint_to_cpu", dictionaries.hand_record_to_trainer)
    _wrap(Trainer, "load_checkpoint", dictionaries.resume_with_same_dictionaries)


def save_plain_checkpoints() -> None:
    """What fairseq saves can be loaded again under ``weights_only=True``.

    It stores numpy arrays under ``--eval-bleu`` and numpy scalars under
    ``--best-checkpoint-metric pearson``, which torch refuses on resume. They are saved as
    tensors and Python numbers, which its meters take as well; allowing numpy's types on loading
    would let a file reach numpy's own unpickling.
    """
    _wrap(checkpoint_utils, "torch_persistent_save", _save_without_numpy)


def _save_without_numpy(
    save: Callable[Concatenate[State, Rest], Result],
    obj: State,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    return save(_without_numpy(obj), *args, **kwargs)


def _without_numpy(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        plain = copy.copy(value)  # keeps the attributes of a model's state_dict
        for key, entry in value.items():  # update() of a Counter adds up
            plain[key] = _without_numpy(entry)
        return plain
    if type(value) in (list, tuple):
        return type(value)(map(_without_numpy, value))
    return value


def write_checkpoints_whole() -> None:
    """A run that is killed while it saves, or finds the disk full, can be started again.

    Every fairseq writes the first checkpoint of a save beside its place and moves it there, but
    copies it byte by byte to the others, ``checkpoint_last.pt`` among them, which a kill leaves
    half-written. Where writing fails it tries again behind what it has written, and moves a file
    that nothing can read over the checkpoint before.
    """
    _wrap(PathManager, "copy", writing.copy_whole)
    _wrap(checkpoint_utils, "_torch_persistent_save", writing.save_once)
    _wrap(checkpoint_utils, "torch_persistent_save", writing.save_whole)
    _wrap(checkpoint_utils, "verify_checkpoint_directory", writing.verify_folder)


def go_on_from_a_sound_checkpoint() -> None:
    """A run whose ``checkpoint_last.pt`` is damaged goes on from the newest sound checkpoint.

    Every fairseq ends with a traceback.
    """
    _wrap(Trainer, "load_checkpoint", resume.load_or_go_back)


def keep_carried_tapes() -> None:
    """A run that is resumed in the middle of an epoch goes on reading with the tapes it had.

    Every fairseq keeps parameters and buffers only.
    """
    _wrap(checkpoint_utils, "save_checkpoint", carried.gather_tapes)
    _wrap(Trainer, "save_checkpoint", carried.save_with_tapes)
    _wrap(Trainer, "load_checkpoint", carried.load_with_tapes)


def restrict_evaluated_settings() -> None:
    """Settings are evaluated as plain values; they cannot call anything.

    Every fairseq passes strings like ``--decoder-attention`` or ``--adaptive-softmax-cutoff`` to
    Python's ``eval`` when it builds a model. With generate, eval-lm and validate these strings
    come from the checkpoint, so it could run code through them although it holds nothing but
    strings. In fairseq's modules ``eval`` becomes an evaluation of literals and arithmetic.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith("fairseq."):
            vars(module)["eval"] = _evaluate_plain_value


_PLAIN_SYNTAX = (
    ast.Expression,
    ast.Constant,
    ast.Tuple,
    ast.List,
    ast.Dict,
    ast.Load,
    ast.UnaryOp,
    ast.UAdd,
    ast.USub,
    ast.BinOp,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.FloorDiv,
)


def _evaluate_plain_value(text: str) -> Any:
    if not isinstance(text, str):
        raise TypeError(f"setting {text!r}: is no text")  # as eval does, for a setting that is read
    tree = ast.parse(text.lstrip(), mode="eval")
    if not all(isinstance(node, _PLAIN_SYNTAX) for node in ast.walk(tree)):
        raise InputError(
            f"setting {text!r}: refused, because only numbers, strings, True, False, lists and"
            " arithmetic with them may stand there"
        )
    return eval(compile(tree, "<setting>", "eval"))


def stop_at_no_numbers() -> None:
    """Training ends by naming the update and what is NaN or infinite: a parameter, a loss.

    Every fairseq ends with a traceback where a gradient is, goes on where only the loss is, and
    takes no later checkpoint for the best after a score that was NaN.
    """
    _wrap(Trainer, "train_step", finite.train_on_numbers)
    _wrap(Trainer, "get_valid_iterator", finite.remember_subset)
    _wrap(Trainer, "valid_step", finite.validate_on_numbers)
    _wrap(checkpoint_utils, "save_checkpoint", finite.choose_by_numbers)


def name_damaged_data() -> None:
    """A dictionary or binarised text that is missing or cut off is named in one line.

    Every fairseq ends with a traceback; a text that is shorter than its index says ends it in
    the middle of an epoch.
    """
    _wrap(Dictionary, "add_from_file", binarised.read_dictionary)
    _wrap(indexed_dataset, "make_dataset", binarised.open_whole)
    _wrap(data_utils, "infer_language_pair", binarised.name_languages)
    for task in set(TASK_REGISTRY.values()):
        if "load_dataset" in vars(task):
            _wrap(task, "load_dataset", binarised.load_subset)


def hold_labels_against_classes() -> None:
    """``sentence_prediction`` has a class for each label of its data, and knows how many there are.

    Every fairseq trains classes that no label has, and ends in a bare IndexError or AssertionError
    where there are fewer, where ``--num-classes`` is left out or where a row's label is no class.
    """
    _wrap(SentencePredictionTask, "setup_task", sentence_prediction.set_up)
    _wrap(SentencePredictionTask, "build_model", sentence_prediction.build_model)
    _wrap(SentencePredictionTask, "load_dataset", sentence_prediction.load_dataset)


def keep_the_last_batch() -> None:
    """No example is lost when their number is no multiple of the required batch size.

    fairseq > 0.12.2 drops the last batch where its size is no multiple of
    ``--required-batch-size-multiple`` (8 by default): up to 7 examples silently missing from
    training, validation and generation, and an IndexError when there are none at all.
    Batches are consecutive slices of the indices, so what is missing at the end is that batch.
    """
    _wrap(data_utils, "batch_by_size", _batch_all)


def _batch_all(
    batch_by_size: Callable[Concatenate[NDArray[np.int64], Rest], list[NDArray[np.int64]]],
    indices: NDArray[np.int64] | Iterable[int],
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> list[NDArray[np.int64]]:
    if not isinstance(indices, np.ndarray):
        indices = np.fromiter(indices, dtype=np.int64)
    if len(indices) == 0:
        return []
    batches = batch_by_size(indices, *args, **kwargs)
    rest = indices[sum(map(len, batches)) :]
    return [*batches, rest] if len(rest) else batches


def rebuild_batches_every_epoch() -> None:
    """A resumed run trains on the same batches as an uninterrupted one.

    fairseq > 0.12.2 composes the training batches with the seed of the epoch in which the
    process started and keeps them, so a run resumed after its first epoch sees others. It has a
    cure, ``rebuild_batches`` in the task's config, which hardly any task offers; here it is on
    for each task that does not set it. Validation keeps its batches: they never depend on the
    epoch at which a run was resumed.
    """
    _wrap(FairseqTask, "get_batch_iterator", _get_rebuilding_iterator)


class _RebuildingConfig:
    """A task's config (None for a legacy task) which also says ``rebuild_batches``."""

    rebuild_batches = True

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cfg, name)

    def __getitem__(self, name: str) -> Any:
        return self._cfg[name]

    def __contains__(self, name: str) -> bool:
        return name in self._cfg


def _get_rebuilding_iterator(
    get_batch_iterator: Callable[Concatenate[FairseqTask, Rest], Result],
    task: FairseqTask,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    cfg = task.cfg
    trains = "update_epoch_batch_itr" in kwargs  # only the trainer's training iterator says it
    if not trains or getattr(cfg, "rebuild_batches", None) is not None:
        return get_batch_iterator(task, *args, **kwargs)
    stand_in: Any = _RebuildingConfig(cfg)
    task.cfg = stand_in
    try:
        return get_batch_iterator(task, *args, **kwargs)
    finally:
        task.cfg = cfg


def leave_out_warnings_of_fairseqs_own() -> None:
    """What torch and hydra say of fairseq's code at every command is not printed."""
    third_party_warnings.silence()


def end_loader_threads() -> None:
    """The process does not abort ("terminate called ...") when it ends before its batches do."""
    _wrap(iterators.BufferedIterator, "_create_consumer", loader_threads.start_and_remember)


def search_diverse_beams_of_every_batch() -> None:
    """``--diverse-beam-groups`` works for more than the first batch.

    Every fairseq takes the numbers of the sentences in the data for rows of its table of a
    batch's groups, which fails from the second batch on and mixes sentences up before. Without
    numbers it counts the rows itself.
    """
    for generator in (SequenceGenerator, SequenceGeneratorWithAlignment):
        _wrap(generator, "generate", _generate_without_numbers)


def _generate_without_numbers(
    generate: Callable[..., Result],
    generator: SequenceGenerator,
    models: list[BaseFairseqModel],
    sample: dict[str, Any],
    **kwargs: object,
) -> Result:
    if isinstance(generator.search, DiverseBeamSearch):
        sample = {key: value for key, value in sample.items() if key != "id"}
    return generate(generator, models, sample, **kwargs)


def name_examples_that_are_too_long() -> None:
    """An example beyond a limit, or data of which none is left, is named in one line.

    Every fairseq ends with a traceback at the former. At the latter ``fairseq-eval-lm`` says
    "Perplexity: 1.00", and others end in tracebacks that say nothing of the length.
    """
    _wrap(FairseqTask, "filter_indices_by_size", fairseq_task.filter_or_say_why_not)


def leave_limits_to_the_model() -> None:
    """What is read without a limit of length is not limited by a task's default.

    The tasks of fairseq have limits of 512 and 1,024 tokens, as its Transformers need; those keep
    the limits by which they were trained.
    """
    _wrap(options, "parse_args_and_arch", patched_options.leave_limits_to_the_model)


def score_with_carried_tapes() -> None:
    """A model that carries its tapes is scored by a task whose batches continue one another.

    By any other it would be scored as another model, block by block, without a word.
    """
    _wrap(SequenceScorer, "generate", sequence_scorer.score_with_carried_tapes)


def generate_by_shards() -> None:
    """``fairseq-generate --num-shards N --shard-id I`` translates a part of the subset.

    Every fairseq translates all of it in each shard; only fairseq-eval-lm looks at the options.
    Options that generation cannot obey (alignments and references that fairseq-interactive does
    not have, unknown words that are not in the data) end in one line with the parsing.
    """
    _wrap(options, "parse_args_and_arch", patched_options.parse_args_and_arch)
    _wrap(FairseqTask, "get_batch_iterator", fairseq_task.get_batch_iterator)


def continue_prefixes_of_unequal_length() -> None:
    """A language model continues a prefix in a batch as it does alone.

    Every fairseq obeys ``--min-len`` and suppressed tokens only where no row of the batch has
    prefix left.
    """
    sequence_generator.patch_prefix_tokens()


def need_constraints_with_the_data() -> None:
    """``fairseq-generate --constraints`` ends in one line: its data have no place for them."""
    _wrap(LexicallyConstrainedBeamSearch, "init_constraints", search.init_constraints)


def align_by_those_that_attend() -> None:
    """Ensembles of models with and without attention are scored and aligned.

    Every fairseq ends with a TypeError where a model without follows one with, or where none has
    any; it divides by the number of all models, so that soft alignments add up to less than one,
    and prints only hard ones of references. Its ``lstm`` attends to sources whose padding it
    has moved, which shifts the alignments of a batch (its issue 3625).
    """
    _wrap(SequenceGenerator, "generate", sequence_generator.generate)
    _wrap(SequenceGeneratorWithAlignment, "generate", sequence_generator.generate_with_alignment)
    _wrap(EnsembleModelWithAlignment, "forward_align", sequence_generator.forward_align)
    _wrap(SequenceScorer, "generate", sequence_scorer.generate)
    _wrap(LSTMEncoder, "forward", lstm.encode_in_order)


def replace_unknown_words() -> None:
    """``--replace-unk`` copies the source words to which unknown words attend.

    Every fairseq looks for a file named "@@ " where none is named, builds no alignments for it,
    and reads those of ``--print-alignment`` as if they were something else.
    """
    _wrap(utils, "load_align_dict", patched_utils.load_align_dict)
    _wrap(utils, "post_process_prediction", patched_utils.post_process_prediction)
    _wrap(BaseFairseqModel, "prepare_for_inference_", fairseq_model.prepare_for_inference)
    _wrap(FairseqTask, "build_generator", fairseq_task.build_generator)
    get_tokens = fairseq_task.get_interactive_tokens_and_lengths
    _wrap(FairseqTask, "get_interactive_tokens_and_lengths", get_tokens)


def restore_numpy_long() -> None:
    """``--sample-break-mode eos`` and ``--num-batch-buckets`` work without ``np.compat``.

    numpy >= 2 has no ``np.compat``, whose ``long`` (Python's ``int``) is what TokenBlockDataset
    and LanguagePairDataset ask for. LM generation and interactive need the former as well.
    """
    if not hasattr(np, "compat"):
        vars(np)["compat"] = types.SimpleNamespace(long=int)


def mend_length_buckets() -> None:
    """``--num-batch-buckets`` works without ``np.percentile(interpolation=...)``.

    numpy renamed the argument to ``method`` in 1.22 and removed the old name in 2.4.
    """
    if "interpolation" in inspect.signature(np.percentile).parameters:
        return
    broken = data_utils.get_buckets
    for module in list(sys.modules.values()):  # some have imported it by name
        if getattr(module, "get_buckets", None) is broken:
            vars(module)["get_buckets"] = _get_buckets


def _get_buckets(sizes: NDArray[np.integer[Any]], num_buckets: int) -> NDArray[Any]:
    bounds = np.percentile(sizes, np.linspace(0, 100, num_buckets + 1), method="lower")
    return np.unique(bounds[1:])


def tell_models_the_epoch() -> None:
    """This package's models hear which epoch begins, also on a resume in the middle of one.

    fairseq-fixed defines ``BaseFairseqModel.set_epoch`` and never calls it, fairseq has none.
    """
    _wrap(Trainer, "begin_epoch", _begin_epoch)


def _begin_epoch(
    begin_epoch: Callable[[Trainer, int], Result], trainer: Trainer, epoch: int
) -> Result:
    for module in trainer.get_model().modules():
        if isinstance(module, WordEmbedding):
            module.set_epoch(epoch)
    return begin_epoch(trainer, epoch)


def keep_offsets_from_wrapping() -> None:
    """``fairseq-preprocess --workers N`` writes a sound index for more than 2 GiB of tokens.

    The sizes merged from the workers' parts are ``np.int32``; numpy >= 2 adds them up to
    ``np.int32`` offsets, which wrap past 2 GiB and leave a corrupt index. Python's integers
    do not. (Only with ``--user-dir``: preprocessing does not import the plugin otherwise.)
    """
    _wrap(indexed_dataset.MMapIndexedDatasetBuilder, "finalize", _finalize_with_python_sizes)


def _finalize_with_python_sizes(
    finalize: Callable[Concatenate[indexed_dataset.MMapIndexedDatasetBuilder, Rest], Result],
    builder: indexed_dataset.MMapIndexedDatasetBuilder,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    builder._sizes = [int(size) for size in builder._sizes]
    return finalize(builder, *args, **kwargs)


def take_no_device_for_a_tpu() -> None:
    """``--bf16`` and ``--memory-efficient-bf16`` train in bfloat16 on the device that is there.

    Every fairseq lets them imply ``--tpu``, and so ends on a CPU or GPU in ``torch_xla`` missing
    (its issue 4696). Here only ``--tpu`` says that there is a TPU, unless ``torch_xla`` is there.
    """
    if importlib.util.find_spec("torch_xla"):
        return
    _wrap(options, "parse_args_and_arch", _parse_tpu_as_given)


def _parse_tpu_as_given(
    parse: Callable[..., Result],
    parser: argparse.ArgumentParser,
    input_args: list[str] | None = None,
    *args: object,
    **kwargs: object,
) -> Result:
    parsed = parse(parser, input_args, *args, **kwargs)
    namespace: Any = parsed[0] if isinstance(parsed, tuple) else parsed
    if getattr(namespace, "bf16", False):
        namespace.tpu = "--tpu" in (sys.argv if input_args is None else input_args)
    return parsed


def join_the_processes_of_torchrun() -> None:
    """Processes that torchrun starts train together, whatever the number of GPUs.

    Every fairseq takes its world size from the GPUs of its own node: with one or none, each
    process trains alone, all into the same folder. Told ``--distributed-world-size``, it divides
    by the number of GPUs, zero on a CPU. Commands that work in one process refuse several.
    """
    _wrap(distributed_utils, "infer_init_method", patched_distributed.take_world_size_of_torchrun)
    _wrap(
        distributed_utils,
        "_infer_torch_distributed_launch_init",
        patched_distributed.take_rank_of_torchrun,
    )
    _wrap(distributed_utils, "_infer_single_node_init", patched_distributed.name_torchrun)
    _wrap(options, "parse_args_and_arch", _parse_for_one_process)


def _parse_for_one_process(parse: Callable[..., Result], *args: object, **kwargs: object) -> Result:
    parsed = parse(*args, **kwargs)
    namespace: Any = parsed[0] if isinstance(parsed, tuple) else parsed
    patched_distributed.refuse_several_readers(namespace)
    return parsed


def validate_in_several_processes() -> None:
    """``fairseq-validate`` of several processes says what one says, once, and on CPUs too.

    fairseq gathers what cannot be summed in a buffer on a GPU, also in training, and each process
    prints.
    """
    _wrap(distributed_utils, "distributed_init", patched_distributed.quieten_all_but_first)
    _wrap(distributed_utils, "all_gather_list", patched_distributed.gather_on_cpu)


def train_on_every_batch() -> None:
    """A process with an empty batch at the end of an epoch still counts its others.

    Every fairseq drops their sample size and losses under ``--update-freq``, not their gradients.
    """
    _wrap(Trainer, "train_step", patched_trainer.train_on_filled_batches)


def distribute_models_on_cpu() -> None:
    """``--ddp-backend pytorch_ddp``, the default, trains on several CPUs.

    Every fairseq names a GPU to torch's ``DistributedDataParallel``, which refuses it for a model
    on the CPU.
    """
    _wrap(distributed_fairseq_model, "DistributedDataParallel", _distribute_where_it_is)


def _distribute_where_it_is(
    distribute: Callable[..., nn.Module], module: nn.Module, **kwargs: object
) -> nn.Module:
    if not next(module.parameters()).is_cuda:
        kwargs.update(device_ids=None, output_device=None)
    return distribute(module=module, **kwargs)


def send_plain_settings() -> None:
    """A training in several processes can be resumed.

    One process reads the checkpoint and sends it to the others, with its settings as an OmegaConf
    object, which torch does not unpickle. They are sent as a dictionary.
    """
    _wrap(distributed_utils, "broadcast_object", _broadcast_plain_settings)


def _broadcast_plain_settings(
    broadcast: Callable[Concatenate[object, Rest], Result],
    obj: object,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    if isinstance(obj, dict) and OmegaConf.is_config(obj.get("cfg")):
        obj = {**obj, "cfg": OmegaConf.to_container(obj["cfg"])}
    return broadcast(obj, *args, **kwargs)


def _wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Replace ``owner.name`` by ``around(original, ...)``, once for each ``around``.

    ``around`` names its arguments as the original does, since some call it by keyword.
    """
    static = inspect.getattr_static(owner, name)
    is_of_class = isinstance(static, classmethod)
    original = static.__func__ if is_of_class else getattr(owner, name)
    mends = getattr(original, "mended_by_lstmn", ())
    if around in mends:
        return

    @functools.wraps(original)
    def mended(*args: object, **kwargs: object) -> Any:
        return around(original, *args, **kwargs)

    vars(mended)["mended_by_lstmn"] = (*mends, around)
    vars(mended)["__signature__"] = inspect.signature(original)  # fairseq looks at some
    kind = type(static) if isinstance(static, (staticmethod, classmethod)) else None
    setattr(owner, name, kind(mended) if kind else mended)


MENDS = (
    tell_dictionaries_apart,  # before the next, which tells what it cannot read as damage
    restrict_checkpoint_loading,
    name_checkpoints_that_do_not_fit,
    name_what_does_not_fit,
    save_plain_checkpoints,
    write_checkpoints_whole,
    go_on_from_a_sound_checkpoint,
    keep_carried_tapes,
    restrict_evaluated_settings,
    stop_at_no_numbers,
    name_damaged_data,
    hold_labels_against_classes,
    keep_the_last_batch,
    rebuild_batches_every_epoch,
    leave_out_warnings_of_fairseqs_own,
    end_loader_threads,
    search_diverse_beams_of_every_batch,
    name_examples_that_are_too_long,
    leave_limits_to_the_model,
    score_with_carried_tapes,
    generate_by_shards,
    continue_prefixes_of_unequal_length,
    need_constraints_with_the_data,
    align_by_those_that_attend,
    replace_unknown_words,
    restore_numpy_long,
    mend_length_buckets,
    tell_models_the_epoch,
    keep_offsets_from_wrapping,
    take_no_device_for_a_tpu,
    join_the_processes_of_torchrun,
    validate_in_several_processes,
    train_on_every_batch,
    distribute_models_on_cpu,
    send_plain_settings,
)
