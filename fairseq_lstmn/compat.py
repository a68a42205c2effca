"""The one place that knows what fairseq needs on today's Python, torch and numpy.

Each mend is one function: it names what breaks and since when, what it does about it, and
does nothing where nothing is broken. They act on fairseq (or numpy) itself, so they hold for
every task run through the plugin, and ``apply`` may be called any number of times.
"""

import argparse
import ast
import copy
import functools
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
from fairseq import checkpoint_utils, options
from fairseq.data import Dictionary, data_utils, indexed_dataset, iterators
from fairseq.dataclass.configs import DistributedTrainingConfig
from fairseq.distributed import utils as distributed_utils
from fairseq.file_io import PathManager
from fairseq.models import BaseFairseqModel, distributed_fairseq_model
from fairseq.search import DiverseBeamSearch
from fairseq.sequence_generator import SequenceGenerator, SequenceGeneratorWithAlignment
from fairseq.tasks import TASK_REGISTRY
from fairseq.tasks.fairseq_task import FairseqTask
from fairseq.trainer import Trainer
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import nn

from fairseq_lstmn.checkpoints import State, damage, dictionaries, resume, writing
from fairseq_lstmn.data import binarised, loader_threads
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.embeddings import weights_in_checkpoint
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
    _wrap(checkpoint_utils, "load_ema_from_checkpoint", _load_or_refuse)


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
            sizes = r"size mismatch for (\S+): .*?Size\(\[(.*?)\]\).*?Size\(\[(.*?)\]\)"
            misfit = re.search(sizes, str(error))
            if misfit is None:
                raise
            raise InputError(
                f"{filename}: {misfit[1]} is ({misfit[2]}), but with the dictionaries of this data"
                f" it is ({misfit[3]})"
            ) from error
        for model in models:
            finite.check_weights(model, filename)
        ensemble += models
    return ensemble, cfg, task


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
    checkpoint: State,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    return save(_without_numpy(checkpoint), *args, **kwargs)


def _without_numpy(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        plain = copy.copy(value)  # keeps the attributes of a model's state_dict
        plain.update((key, _without_numpy(entry)) for key, entry in value.items())
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
    strings. In fairseq's modules ``eval`` becomes an evaluation of literals, ``+`` and ``*``.
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
    ast.USub,
    ast.BinOp,
    ast.Add,
    ast.Mult,
)


def _evaluate_plain_value(text: str) -> Any:
    tree = ast.parse(text, mode="eval")
    if not all(isinstance(node, _PLAIN_SYNTAX) for node in ast.walk(tree)):
        raise InputError(
            f"setting {text!r}: refused, because only numbers, strings, True, False, lists and"
            " their sums and products may stand there"
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
    """Models hear which epoch begins, also on a resume in the middle of one.

    fairseq-fixed defines ``BaseFairseqModel.set_epoch`` and never calls it, fairseq has none.
    """
    _wrap(Trainer, "begin_epoch", _begin_epoch)


def _begin_epoch(
    begin_epoch: Callable[[Trainer, int], Result], trainer: Trainer, epoch: int
) -> Result:
    for module in trainer.get_model().modules():
        if hasattr(module, "set_epoch"):
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
    (its issue 4696). Here only ``--tpu`` says that there is a TPU.
    """
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
    by the number of GPUs, zero on a CPU.
    """
    _wrap(distributed_utils, "infer_init_method", _take_world_size_of_torchrun)
    _wrap(distributed_utils, "_infer_torch_distributed_launch_init", _take_rank_of_torchrun)


def _take_world_size_of_torchrun(
    infer: Callable[Concatenate[DistributedTrainingConfig, Rest], None],
    cfg: DistributedTrainingConfig,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> None:
    names = "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK"
    if cfg.distributed_init_method is None and all(name in os.environ for name in names):
        cfg.distributed_world_size = int(os.environ["WORLD_SIZE"])
    return infer(cfg, *args, **kwargs)


def _take_rank_of_torchrun(
    infer: Callable[[DistributedTrainingConfig], None], cfg: DistributedTrainingConfig
) -> None:
    if torch.cuda.device_count():
        return infer(cfg)
    cfg.distributed_init_method = "env://"
    cfg.distributed_rank = int(os.environ["RANK"])
    cfg.distributed_no_spawn = True


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
    state: object,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    if isinstance(state, dict) and OmegaConf.is_config(state.get("cfg")):
        state = {**state, "cfg": OmegaConf.to_container(state["cfg"])}
    return broadcast(state, *args, **kwargs)


def _wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Replace ``owner.name`` by ``around(original, ...)``, once for each ``around``."""
    original = getattr(owner, name)
    mends = getattr(original, "mended_by_lstmn", ())
    if around in mends:
        return

    @functools.wraps(original)
    def mended(*args: object, **kwargs: object) -> Any:
        return around(original, *args, **kwargs)

    vars(mended)["mended_by_lstmn"] = (*mends, around)
    is_static = isinstance(inspect.getattr_static(owner, name), staticmethod)
    setattr(owner, name, staticmethod(mended) if is_static else mended)


MENDS = (
    tell_dictionaries_apart,  # before the next, which tells what it cannot read as damage
    restrict_checkpoint_loading,
    name_checkpoints_that_do_not_fit,
    save_plain_checkpoints,
    write_checkpoints_whole,
    go_on_from_a_sound_checkpoint,
    keep_carried_tapes,
    restrict_evaluated_settings,
    stop_at_no_numbers,
    name_damaged_data,
    keep_the_last_batch,
    rebuild_batches_every_epoch,
    end_loader_threads,
    search_diverse_beams_of_every_batch,
    restore_numpy_long,
    mend_length_buckets,
    tell_models_the_epoch,
    keep_offsets_from_wrapping,
    take_no_device_for_a_tpu,
    join_the_processes_of_torchrun,
    distribute_models_on_cpu,
    send_plain_settings,
)
