"""Every patch of fairseq, each by a test that fails without it."""

import importlib.util
import io
import re
import shutil
import sys
from argparse import Namespace
from collections import Counter, OrderedDict
from inspect import isclass, ismethod, signature
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils, options, utils
from fairseq.data import (
    BucketPadLengthDataset,
    Dictionary,
    LanguagePairDataset,
    TokenBlockDataset,
    data_utils,
    indexed_dataset,
)
from fairseq.data.indexed_dataset import MMapIndexedDataset, MMapIndexedDatasetBuilder
from fairseq.dataclass.configs import DistributedTrainingConfig
from fairseq.distributed import utils as distributed_utils
from fairseq.file_io import PathManager
from fairseq.tasks import FairseqTask
from fairseq.trainer import Trainer
from omegaconf import OmegaConf

from fairseq_lstmn import patches
from fairseq_lstmn.checkpoints import resume
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.embeddings import WordEmbedding
from fairseq_lstmn.patches.checkpoint_utils import FULL_UNPICKLING
from tests.checkpoints.files import OPEN
from tests.fairseq_commands import PLUGIN, logged, monolingual_data, parallel_data, run

ON_CPU = ("--user-dir", PLUGIN, "--cpu")
TINY_DECODER = ("--decoder-embed-dim", 4, "--decoder-out-embed-dim", 4)
TRAIN_LANGUAGE_MODEL = (
    *ON_CPU,
    "--task",
    "language_modeling",
    "--arch",
    "lstm_lm",
    *TINY_DECODER,
    "--sample-break-mode",
    "none",
    "--tokens-per-sample",
    8,
    "--batch-size",
    4,
    "--optimizer",
    "adam",
    "--lr",
    0.01,
    "--max-epoch",
    3,
    "--save-interval-updates",
    4,
    "--disable-validation",
    "--log-format",
    "json",
    "--log-interval",
    1,
)
TRAIN_TRANSLATION = (
    *ON_CPU,
    "--source-lang",
    "in",
    "--target-lang",
    "out",
    "--arch",
    "lstm",
    "--encoder-embed-dim",
    4,
    *TINY_DECODER,
    "--optimizer",
    "adam",
    "--lr",
    0.01,
    "--max-tokens",
    200,
    "--max-epoch",
    1,
)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    """Data, checkpoints and log of one uninterrupted run of three epochs."""
    directory = tmp_path_factory.mktemp("language_model")
    data = monolingual_data(directory)
    result = run("train", data, *TRAIN_LANGUAGE_MODEL, "--save-dir", directory / "checkpoints")
    return Namespace(data=data, checkpoints=directory / "checkpoints", log=result.stdout)


@pytest.fixture(scope="module")
def translation(tmp_path_factory):
    """Data and checkpoint of one epoch."""
    directory = tmp_path_factory.mktemp("translation")
    data = parallel_data(directory)
    run("train", data, *TRAIN_TRANSLATION, "--save-dir", directory)
    return Namespace(data=data, checkpoint=directory / "checkpoint_last.pt")


class CreatesFile:
    """Unpickled in full, it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def with_change(checkpoint, target, change):
    """Save ``checkpoint`` to ``target`` after ``change(state)``."""
    state = torch.load(checkpoint, weights_only=False)
    change(state)
    torch.save(state, target)
    return target


@pytest.fixture
def malicious(language_model, tmp_path):
    """A good checkpoint with one entry that creates ``created`` when unpickled."""
    created = tmp_path / "created"
    path = with_change(
        language_model.checkpoints / "checkpoint_last.pt",
        tmp_path / "malicious.pt",
        lambda state: state["extra_state"].update(payload=CreatesFile(created)),
    )
    return Namespace(path=path, created=created)


def assert_refuses(result, path):
    last_line = result.stdout.splitlines()[-1]
    assert result.returncode == 1
    assert last_line.startswith(f"error: {path}: refused, because it holds {OPEN}")
    assert FULL_UNPICKLING in last_line
    assert "Traceback" not in result.stdout


def test_training_refuses_to_restore_a_malicious_checkpoint(language_model, malicious, tmp_path):
    result = run(
        "train",
        language_model.data,
        *TRAIN_LANGUAGE_MODEL,
        "--save-dir",
        tmp_path,
        "--restore-file",
        malicious.path,
        check=False,
    )
    assert_refuses(result, malicious.path)
    assert not malicious.created.exists()


def test_evaluation_refuses_a_malicious_checkpoint(language_model, malicious):
    result = run("eval-lm", language_model.data, *ON_CPU, "--path", malicious.path, check=False)
    assert_refuses(result, malicious.path)
    assert not malicious.created.exists()


def test_full_unpickling_can_be_forced_and_warns(language_model, malicious):
    result = run(
        "eval-lm",
        language_model.data,
        *ON_CPU,
        "--path",
        malicious.path,
        "--sample-break-mode",
        "eos",
        env={FULL_UNPICKLING: "1"},
    )
    assert result.stdout.count(f"{malicious.path}: unpickled in full") == 1
    assert "Perplexity" in result.stdout
    assert malicious.created.exists()  # the payload is a real one


def test_ema_of_a_malicious_checkpoint_is_refused(malicious):
    with pytest.raises(InputError, match=OPEN):
        checkpoint_utils.load_ema_from_checkpoint(str(malicious.path))
    assert not malicious.created.exists()


def test_settings_in_a_checkpoint_cannot_run_code(translation, tmp_path):
    created = tmp_path / "created"
    payload = f"open({str(created)!r}, 'w')"
    path = with_change(
        translation.checkpoint,
        tmp_path / "malicious.pt",
        lambda state: setattr(state["cfg"]["model"], "decoder_attention", payload),
    )
    with pytest.raises(InputError, match="^setting .*open.* refused"):
        checkpoint_utils.load_model_ensemble_and_task([str(path)])
    assert not created.exists()


def test_plain_settings_keep_their_values():
    assert utils.eval_bool("1") is True and utils.eval_bool("False") is False
    assert utils.eval_bool(None, default=True) is True
    assert utils.eval_bool(True) is False  # fairseq's answer for what is no text: the default
    assert utils.eval_str_list("10,20,30", type=int) == [10, 20, 30]
    assert utils.eval_str_list(" 1e-3/4, 3-1, +7//2") == [0.00025, 2, 3]
    assert utils.eval_str_list("[(512, 3)] * 2 + [(-1, 4)]", type=tuple) == [
        (512, 3),
        (512, 3),
        (-1, 4),
    ]


def test_a_checkpoint_that_does_not_fit_is_named(translation, tmp_path):
    def grow(state):
        del state["task_state"]  # as in checkpoints that do not say what their words are
        state["model"]["encoder.embed_tokens.weight"] = torch.ones(30, 4)

    path = with_change(translation.checkpoint, tmp_path / "larger.pt", grow)
    line = rf"^{path}: encoder.embed_tokens.weight is \(30, 4\), but .* it is \(24, 4\)$"
    with pytest.raises(InputError, match=line):
        checkpoint_utils.load_model_ensemble_and_task([str(path)])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[: len(content) // 2], id="truncated"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"not a checkpoint\n", id="text"),
    ],
)
def test_a_damaged_checkpoint_is_reported_in_one_line(language_model, tmp_path, damage):
    path = tmp_path / "damaged.pt"
    path.write_bytes(damage((language_model.checkpoints / "checkpoint_last.pt").read_bytes()))
    with pytest.raises(InputError) as error:
        checkpoint_utils.load_checkpoint_to_cpu(str(path))
    assert str(error.value).startswith(f"{path}: cannot be read as a fairseq checkpoint (")
    assert "\n" not in str(error.value)


def test_a_wrong_bit_in_a_weight_is_told(language_model, tmp_path):
    content = bytearray((language_model.checkpoints / "checkpoint_last.pt").read_bytes())
    weight = torch.load(language_model.checkpoints / "checkpoint_last.pt", weights_only=False)
    weight = weight["model"]["decoder.embed_tokens.weight"]
    content[content.index(weight.numpy().tobytes())] ^= 1
    path = tmp_path / "flipped.pt"
    path.write_bytes(content)
    torch.load(path, weights_only=False)  # torch itself takes it
    with pytest.raises(InputError, match="the checksum of .* is wrong"):
        checkpoint_utils.load_checkpoint_to_cpu(str(path))


@pytest.fixture
def interrupted(language_model, tmp_path):
    """The run's checkpoints, the three newest files damaged in three ways."""
    folder = tmp_path / "checkpoints"
    shutil.copytree(language_model.checkpoints, folder)
    whole = (folder / "checkpoint_last.pt").read_bytes()
    (folder / "checkpoint_last.pt").write_bytes(whole[: len(whole) // 2])
    (folder / "checkpoint3.pt").write_bytes(b"")
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 8
    (folder / "checkpoint_3_52.pt").write_bytes(flipped)
    return folder


def test_training_goes_on_from_the_newest_sound_checkpoint(language_model, interrupted):
    newest = interrupted / "checkpoint_3_48.pt"
    result = run("train", language_model.data, *TRAIN_LANGUAGE_MODEL, "--save-dir", interrupted)
    [warning] = [line for line in result.stdout.splitlines() if "WARNING" in line]
    assert f"{interrupted / 'checkpoint_last.pt'}: cannot be read" in warning
    assert f"goes on from {newest}" in warning
    resumed, uninterrupted = losses(result.stdout), losses(language_model.log)
    assert min(resumed) == 49
    assert resumed == {update: uninterrupted[update] for update in resumed}


def test_training_that_runs_away_ends_by_naming_where(language_model, tmp_path):
    options = (*TRAIN_LANGUAGE_MODEL, "--optimizer", "sgd", "--lr", 1e38, "--save-dir", tmp_path)
    result = run("train", language_model.data, *options, check=False)
    last_line = result.stdout.splitlines()[-1]
    assert result.returncode == 1
    assert re.match(r"error: update \d: (the loss is|.* holds?) .*; see --lr", last_line)
    assert "Traceback" not in result.stdout


def test_a_checkpoint_without_numbers_is_named(translation, tmp_path):
    def spoil(state):
        state["model"]["decoder.layers.0.weight_ih"][5, 1] = float("nan")

    path = with_change(translation.checkpoint, tmp_path / "spoilt.pt", spoil)
    spoilt = "decoder.layers.0.weight_ih holds NaN or infinity"
    command = "generate", translation.data, *ON_CPU, "--path", path
    assert last_line(*command) == f"error: {path}: a probability is NaN, since {spoilt}"


def last_line(command, *arguments):
    """What a command says that ends by a fault of its input."""
    result = run(command, *arguments, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stdout
    return result.stdout.splitlines()[-1]


def test_a_subset_that_is_not_there_is_named_by_every_command(language_model, translation):
    text, checkpoint = language_model.data, language_model.checkpoints / "checkpoint_last.pt"
    missing = "no binarised text of the subset 'vaild' is there"
    asked = "--no-save", "--train-subset", "vaild"
    line = f"error: {text}/vaild: {missing}"
    assert last_line("train", text, *TRAIN_LANGUAGE_MODEL, *asked) == line
    path = *ON_CPU, "--path", checkpoint
    assert last_line("eval-lm", text, *path, "--gen-subset", "vaild") == line
    needed = "--task", "language_modeling", "--batch-size", 4, "--valid-subset", "vaild"
    assert last_line("validate", text, *path, *needed) == line
    path = *ON_CPU, "--path", translation.checkpoint
    line = f"error: {translation.data}: {missing}"
    assert last_line("generate", translation.data, *path, "--gen-subset", "vaild") == line


def test_training_is_not_resumed_with_other_words(language_model, tmp_path):
    data = shutil.copytree(language_model.data, tmp_path / "other")
    words = (data / "dict.txt").read_text().splitlines(keepends=True)
    (data / "dict.txt").write_text("".join(reversed(words)))
    from_it = "--restore-file", language_model.checkpoints / "checkpoint_last.pt"
    options = (*TRAIN_LANGUAGE_MODEL, *from_it, "--save-dir", tmp_path, "--max-epoch", 4)
    assert last_line("train", data, *options) == (
        f"error: {from_it[1]}: its source dictionary has other words than the one of {data}"
    )


def stand_in_trainer(folder, restore_file="checkpoint_last.pt"):
    settings = Namespace(save_dir=str(folder), restore_file=restore_file)
    cfg = Namespace(checkpoint=settings)
    return Namespace(cfg=cfg, checkpoint_suffix="", model=torch.nn.Linear(1, 1))


def load_to_cpu(trainer, filename):
    return checkpoint_utils.load_checkpoint_to_cpu(filename)


def test_training_without_a_sound_checkpoint_ends_in_one_line(tmp_path):
    last = tmp_path / "checkpoint_last.pt"
    for path in (last, tmp_path / "checkpoint1.pt"):
        path.write_bytes(b"damaged")
    with pytest.raises(InputError, match=f"^{last}: .*{tmp_path} holds no sound one") as error:
        resume.load_or_go_back(load_to_cpu, stand_in_trainer(tmp_path), str(last))
    assert "\n" not in str(error.value)


def test_a_damaged_checkpoint_that_was_named_is_not_replaced(interrupted):
    named = str(interrupted / "checkpoint3.pt")
    with pytest.raises(InputError, match=named):
        resume.load_or_go_back(load_to_cpu, stand_in_trainer(interrupted, named), named)


def test_a_refused_checkpoint_is_not_replaced(malicious):
    last = malicious.path.rename(malicious.path.with_name("checkpoint_last.pt"))
    with pytest.raises(InputError, match="refused"):
        resume.load_or_go_back(load_to_cpu, stand_in_trainer(last.parent), str(last))


def test_state_sent_between_processes_on_resume_can_be_loaded(language_model):
    state = torch.load(language_model.checkpoints / "checkpoint_last.pt", weights_only=False)
    tensors, buffer = [], io.BytesIO()
    torch.save(distributed_utils._split_tensors_from_obj(state, tensors), buffer)
    buffer.seek(0)
    received = distributed_utils._put_tensors_in_obj(torch.load(buffer), tensors)
    assert received["cfg"]["model"] == state["cfg"]["model"]
    assert received["model"].keys() == state["model"].keys()


def test_a_copy_of_a_checkpoint_that_is_cut_off_leaves_the_old_one(tmp_path, monkeypatch):
    def cut_off(source, destination):
        Path(destination).write_bytes(Path(source).read_bytes()[:2])
        raise KeyboardInterrupt

    best, last = tmp_path / "checkpoint_best.pt", tmp_path / "checkpoint_last.pt"
    best.write_bytes(b"newer")
    last.write_bytes(b"older")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copyfile", cut_off)
        PathManager.copy(str(best), str(last), overwrite=True)
    assert last.read_bytes() == b"older"
    assert PathManager.copy(str(best), str(last), overwrite=True)
    assert last.read_bytes() == b"newer"


def test_a_copy_that_is_not_to_overwrite_is_left_to_fairseq(tmp_path, monkeypatch):
    """With iopath it leaves a file that is there."""
    handler = MagicMock()
    monkeypatch.setattr("fairseq.file_io.IOPathManager", handler)
    handler._path_handlers = {}
    PathManager.copy("from", str(tmp_path / "to"))
    handler.copy.assert_called_once_with(
        src_path="from", dst_path=str(tmp_path / "to"), overwrite=False
    )


def test_numpy_values_are_saved_so_that_they_load_again(tmp_path):
    path = str(tmp_path / "checkpoint.pt")
    weights = OrderedDict(weight=torch.ones(2))
    weights._metadata = "kept"
    counts = Counter(word=np.int64(2))
    checkpoint_utils.torch_persistent_save(
        {
            "best": np.float64(0.5),
            "meters": [("bleu", {"sum": np.array([1, 2])})],
            "model": weights,
            "counts": counts,
        },
        path,
    )
    loaded = torch.load(path, weights_only=True)
    assert loaded["best"] == 0.5
    assert loaded["meters"][0][1]["sum"].tolist() == [1, 2]
    assert loaded["model"]._metadata == "kept"
    assert loaded["counts"] == Counter(word=2)


@pytest.mark.parametrize("count", [0, 3, 8, 11, 21])
@pytest.mark.parametrize("limits", [{"max_sentences": 10}, {"max_tokens": 50}])
def test_no_example_is_left_out_of_the_batches(count, limits):
    batches = data_utils.batch_by_size(
        iter(range(100, 100 + count)),
        num_tokens_fn=lambda index: 5,
        required_batch_size_multiple=8,
        **limits,
    )
    assert [index for batch in batches for index in batch] == list(range(100, 100 + count))
    assert all(len(batch) <= 10 for batch in batches)


def test_batches_of_fixed_shapes_stay_as_they_are():
    batches = data_utils.batch_by_size(
        np.arange(5),
        num_tokens_fn=lambda index: 4,
        required_batch_size_multiple=8,
        fixed_shapes=[(2, 4)],
    )
    assert [list(batch) for batch in batches] == [[0, 1], [2, 3], [4]]


def test_generation_translates_every_sentence(translation):
    result = run("generate", translation.data, *ON_CPU, "--path", translation.checkpoint)
    assert sum(line.startswith("H-") for line in result.stdout.splitlines()) == 11


def losses(output):
    return {int(entry["num_updates"]): entry["loss"] for entry in logged(output, "train_inner")}


@pytest.mark.parametrize("checkpoint", ["checkpoint1.pt", "checkpoint_2_28.pt"])
def test_a_resumed_run_continues_as_the_uninterrupted_one(language_model, tmp_path, checkpoint):
    result = run(
        "train",
        language_model.data,
        *TRAIN_LANGUAGE_MODEL,
        "--save-dir",
        tmp_path,
        "--restore-file",
        language_model.checkpoints / checkpoint,
    )
    resumed, uninterrupted = losses(result.stdout), losses(language_model.log)
    assert len(resumed) > 10
    assert resumed == {update: uninterrupted[update] for update in resumed}
    assert max(resumed) == max(uninterrupted)


@pytest.mark.parametrize(
    "cfg, expected",
    [
        (None, True),
        (Namespace(), True),
        ({"own": 1}, True),
        (Namespace(rebuild_batches=False), False),
    ],
)
def test_a_config_keeps_its_own_word_on_rebuilding(cfg, expected):
    class Task(FairseqTask):
        def can_reuse_epoch_itr(self, dataset):
            if isinstance(cfg, dict):
                assert "own" in self.cfg and self.cfg["own"] == self.cfg.get("own")
            raise LookupError(getattr(self.cfg, "rebuild_batches", False))

    task = Task(cfg)
    with pytest.raises(LookupError) as seen:
        task.get_batch_iterator(dataset=None, update_epoch_batch_itr=False)
    assert seen.value.args == (expected,)
    assert task.cfg is cfg


def test_blocks_can_end_with_the_sentence():
    sentences = [torch.tensor([5, 6, 2]), torch.tensor([7, 2])]
    blocks = TokenBlockDataset(
        sentences,
        sizes=[3, 2],
        block_size=None,
        pad=1,
        eos=2,
        break_mode="eos",
    )
    assert [block.tolist() for block in blocks] == [[5, 6, 2], [7, 2]]


def test_sentence_pairs_fall_into_length_buckets():
    dictionary = Dictionary()
    sides = [
        [torch.full((length,), 4) for length in lengths] for lengths in ([2, 3, 5, 6], [2, 2, 7, 9])
    ]
    pairs = LanguagePairDataset(
        sides[0],
        np.array([2, 3, 5, 6]),
        dictionary,
        sides[1],
        np.array([2, 2, 7, 9]),
        dictionary,
        num_buckets=2,
    )
    assert pairs.bucketed_num_tokens.tolist() == [3, 3, 9, 9]
    assert pairs.get_batch_shapes() == [(None, 3), (None, 9)]


def test_lengths_fall_into_buckets():
    lengths = np.array([1, 2, 3, 4, 5, 9])
    dataset = BucketPadLengthDataset(
        [torch.ones(length) for length in lengths],
        lengths,
        num_buckets=2,
        pad_idx=0,
        left_pad=False,
    )
    assert dataset.buckets.tolist() == [3, 9]
    assert [len(item) for item in dataset] == [3, 3, 3, 9, 9, 9]


def test_offsets_of_merged_parts_do_not_wrap(tmp_path):
    sizes = [2**30, 2**30, 2**30]  # tokens of 4 bytes; only the index says so
    part = str(tmp_path / "part")
    with MMapIndexedDataset.Index.writer(indexed_dataset.index_file_path(part), np.int32) as index:
        index.write(sizes)
    (tmp_path / "part.bin").touch()

    builder = MMapIndexedDatasetBuilder(str(tmp_path / "whole.bin"), dtype=np.int32)
    builder.merge_file_(part)
    builder.finalize(str(tmp_path / "whole.idx"))

    whole = MMapIndexedDataset.Index(str(tmp_path / "whole.idx"))
    assert [tuple(map(int, whole[i])) for i in range(3)] == [
        (0, 2**30),
        (2**32, 2**30),
        (2**33, 2**30),
    ]


def test_applying_twice_changes_nothing():
    def mended():
        return (
            checkpoint_utils.load_checkpoint_to_cpu,
            data_utils.batch_by_size,
            data_utils.get_buckets,
            FairseqTask.get_batch_iterator,
            MMapIndexedDatasetBuilder.finalize,
        )

    before = mended()
    patches.apply()
    assert mended() == before


def patched_functions():
    """(function, whether it is a method, what is around it) of all that is patched."""
    owners = [module for name, module in sys.modules.items() if name.startswith("fairseq.")]
    owners += [kind for module in owners for kind in vars(module).values() if isclass(kind)]
    found = {}
    for owner in owners:
        for name in list(vars(owner)):
            function = getattr(owner, name, None)
            if arounds := getattr(function, "patched_by_lstmn", None):
                found[function] = isclass(owner), arounds
    return [(function, *about) for function, about in found.items()]


def test_what_is_patched_is_called_by_keyword_as_before():
    functions = patched_functions()
    assert len(functions) > 40
    for function, of_class, arounds in functions:
        names = list(signature(function).parameters.values())
        has_self = of_class and names[0].name == "self"
        keywords = [p.name for p in names[has_self:] if p.kind is p.POSITIONAL_OR_KEYWORD]
        first = [function, *(["self or cls"] if has_self or ismethod(function) else [])]
        for around in arounds:
            signature(around).bind(*first, **dict.fromkeys(keywords))  # else a TypeError


def test_this_packages_models_hear_which_epoch_begins():
    dictionary = Dictionary()
    words = WordEmbedding(dictionary, 2, None, "--encoder-embed-path", 0.0)
    other = torch.nn.Identity()
    other.set_epoch = MagicMock()
    trainer = MagicMock(tpu=False)
    trainer.get_model.return_value = torch.nn.Sequential(other, words)
    Trainer.begin_epoch(trainer, 3)
    assert words.epoch == 3
    other.set_epoch.assert_not_called()
    trainer.task.begin_epoch.assert_called_once()  # fairseq's own duties are done too


@pytest.mark.parametrize("option", ["--bf16", "--memory-efficient-bf16"])
@pytest.mark.parametrize("tpu", [False, True])
def test_bfloat16_needs_no_tpu(option, tpu):
    arguments = ["data", "--task", "language_modeling", "--arch", "lstm_lm", option]
    parser = options.get_training_parser()
    args = options.parse_args_and_arch(parser, [*arguments, "--tpu"] if tpu else arguments)
    assert args.bf16
    assert args.tpu == tpu


def test_bfloat16_means_a_tpu_where_one_can_be(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "torch_xla")
    arguments = ["data", "--task", "language_modeling", "--arch", "lstm_lm", "--bf16"]
    assert options.parse_args_and_arch(options.get_training_parser(), arguments).tpu


@pytest.mark.parametrize("gpus, local_rank, device", [(0, 1, 0), (1, 0, 0), (2, 1, 1)])
def test_processes_of_torchrun_belong_together(monkeypatch, gpus, local_rank, device):
    """On two CPUs of a node, on nodes with one GPU each, and on nodes with two."""
    started = dict(MASTER_ADDR="node1", MASTER_PORT="29500", WORLD_SIZE="4", RANK="3")
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    # the device is from torchrun's LOCAL_RANK; fairseq-fixed finds it again
    alone = dict(distributed_world_size=max(1, gpus), tpu=False, device_id=local_rank)
    cfg = OmegaConf.structured(DistributedTrainingConfig(**alone))
    distributed_utils.infer_init_method(cfg)
    assert cfg.distributed_init_method == "env://"
    assert (cfg.distributed_world_size, cfg.distributed_rank, cfg.device_id) == (4, 3, device)
    assert cfg.distributed_no_spawn


def test_more_processes_than_gpus_are_told_of_torchrun(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    cfg = OmegaConf.structured(DistributedTrainingConfig(distributed_world_size=2, tpu=False))
    with pytest.raises(InputError, match="--distributed-world-size 2: .*torchrun"):
        distributed_utils.infer_init_method(cfg)


def test_settings_are_sent_to_other_processes_as_plain_values(language_model, monkeypatch):
    sent = []
    path = str(language_model.checkpoints / "checkpoint_last.pt")
    state = checkpoint_utils.load_checkpoint_to_cpu(path)
    monkeypatch.setattr(distributed_utils, "get_rank", lambda group: 0)
    monkeypatch.setattr(distributed_utils, "broadcast_tensors", lambda tensors, *rest: tensors)
    monkeypatch.setattr(
        distributed_utils, "broadcast", lambda tensor, src, group: sent.append(tensor)
    )
    cpu = torch.device("cpu")
    distributed_utils.broadcast_object(state, src_rank=0, group=None, dist_device=cpu)
    received = torch.load(io.BytesIO(sent[1].numpy().tobytes()))
    assert received["cfg"]["task"]["_name"] == "language_modeling"
