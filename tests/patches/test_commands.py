"""fairseq's commands as the patches leave them: refusals in one line, and runs that go on."""

import io
import re
import shutil
from argparse import Namespace

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.distributed import utils as distributed_utils

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.checkpoint_loading import FULL_UNPICKLING
from tests.fairseq_commands import PLUGIN, logged, monolingual_data, parallel_data, run

from .files import OPEN, CreatesFile

ON_CPU = "--user-dir", PLUGIN, "--cpu"
TINY_DECODER = "--decoder-embed-dim", 4, "--decoder-out-embed-dim", 4
TRAIN_LANGUAGE_MODEL = (
    *ON_CPU, "--task", "language_modeling", "--arch", "lstm_lm", *TINY_DECODER,
    "--sample-break-mode", "none", "--tokens-per-sample", 8, "--batch-size", 4,
    "--optimizer", "adam", "--lr", 0.01, "--max-epoch", 3, "--save-interval-updates", 4,
    "--disable-validation", "--log-format", "json", "--log-interval", 1,
)  # fmt: skip
TRAIN_TRANSLATION = (
    *ON_CPU, "--source-lang", "in", "--target-lang", "out", "--arch", "lstm",
    "--encoder-embed-dim", 4, *TINY_DECODER, "--optimizer", "adam", "--lr", 0.01,
    "--max-tokens", 200, "--max-epoch", 1,
)  # fmt: skip


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


def last_line(command, *arguments):
    """What a command says that ends by a fault of its input."""
    result = run(command, *arguments, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stdout
    return result.stdout.splitlines()[-1]


def test_a_malicious_checkpoint_is_refused(language_model, malicious, tmp_path):
    from_it = "--save-dir", tmp_path, "--restore-file", malicious.path
    for line in (
        last_line("train", language_model.data, *TRAIN_LANGUAGE_MODEL, *from_it),
        last_line("eval-lm", language_model.data, *ON_CPU, "--path", malicious.path),
    ):
        assert line.startswith(f"error: {malicious.path}: refused, because it holds {OPEN}")
        assert FULL_UNPICKLING in line
    assert not malicious.created.exists()


def test_full_unpickling_can_be_forced_and_warns(language_model, malicious):
    options = *ON_CPU, "--path", malicious.path, "--sample-break-mode", "eos"
    result = run("eval-lm", language_model.data, *options, env={FULL_UNPICKLING: "1"})
    assert result.stdout.count(f"{malicious.path}: unpickled in full") == 1
    assert "Perplexity" in result.stdout
    assert malicious.created.exists()  # the payload is a real one


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


def test_a_checkpoint_that_does_not_fit_is_named(translation, tmp_path):
    def grow(state):
        del state["task_state"]  # as in checkpoints that do not say what their words are
        state["model"]["encoder.embed_tokens.weight"] = torch.ones(30, 4)

    path = with_change(translation.checkpoint, tmp_path / "larger.pt", grow)
    line = rf"^{path}: encoder.embed_tokens.weight is \(30, 4\), but .* it is \(24, 4\)$"
    with pytest.raises(InputError, match=line):
        checkpoint_utils.load_model_ensemble_and_task([str(path)])


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
    line = last_line("train", language_model.data, *options)
    assert re.match(r"error: update \d: (the loss is|.* holds?) .*; see --lr", line)


def test_a_checkpoint_that_holds_nan_is_named(translation, tmp_path):
    def spoil(state):
        state["model"]["decoder.layers.0.weight_ih"][5, 1] = float("nan")

    path = with_change(translation.checkpoint, tmp_path / "spoilt.pt", spoil)
    spoilt = "decoder.layers.0.weight_ih holds NaN or infinity"
    command = "generate", translation.data, *ON_CPU, "--path", path
    assert last_line(*command) == f"error: {path}: a probability is NaN, since {spoilt}"


def test_a_subset_that_is_not_there_is_named_by_every_command(language_model, translation):
    text, pairs = language_model.data, translation.data
    path = *ON_CPU, "--path", language_model.checkpoints / "checkpoint_last.pt"
    needed = "--task", "language_modeling", "--batch-size", 4
    missing = "no binarised text of the subset 'vaild' is there"
    for place, *command in (
        (f"{text}/vaild", "train", text, *TRAIN_LANGUAGE_MODEL, "--no-save", "--train-subset"),
        (f"{text}/vaild", "eval-lm", text, *path, "--gen-subset"),
        (f"{text}/vaild", "validate", text, *path, *needed, "--valid-subset"),
        (pairs, "generate", pairs, *ON_CPU, "--path", translation.checkpoint, "--gen-subset"),
    ):
        assert last_line(*command, "vaild") == f"error: {place}: {missing}"


def test_training_is_not_resumed_with_other_words(language_model, tmp_path):
    data = shutil.copytree(language_model.data, tmp_path / "other")
    words = (data / "dict.txt").read_text().splitlines(keepends=True)
    (data / "dict.txt").write_text("".join(reversed(words)))
    from_it = "--restore-file", language_model.checkpoints / "checkpoint_last.pt"
    options = (*TRAIN_LANGUAGE_MODEL, *from_it, "--save-dir", tmp_path, "--max-epoch", 4)
    assert last_line("train", data, *options) == (
        f"error: {from_it[1]}: its source dictionary has other words than the one of {data}"
    )


def test_state_sent_between_processes_on_resume_can_be_loaded(language_model):
    state = torch.load(language_model.checkpoints / "checkpoint_last.pt", weights_only=False)
    tensors, buffer = [], io.BytesIO()
    torch.save(distributed_utils._split_tensors_from_obj(state, tensors), buffer)
    buffer.seek(0)
    received = distributed_utils._put_tensors_in_obj(torch.load(buffer), tensors)
    assert received["cfg"]["model"] == state["cfg"]["model"]
    assert received["model"].keys() == state["model"].keys()


def test_generation_translates_every_sentence(translation):
    result = run("generate", translation.data, *ON_CPU, "--path", translation.checkpoint)
    assert sum(line.startswith("H-") for line in result.stdout.splitlines()) == 11


def losses(output):
    return {int(entry["num_updates"]): entry["loss"] for entry in logged(output, "train_inner")}


@pytest.mark.parametrize("checkpoint", ["checkpoint1.pt", "checkpoint_2_28.pt"])
def test_a_resumed_run_continues_as_the_uninterrupted_one(language_model, tmp_path, checkpoint):
    from_it = "--save-dir", tmp_path, "--restore-file", language_model.checkpoints / checkpoint
    result = run("train", language_model.data, *TRAIN_LANGUAGE_MODEL, *from_it)
    resumed, uninterrupted = losses(result.stdout), losses(language_model.log)
    assert len(resumed) > 10
    assert resumed == {update: uninterrupted[update] for update in resumed}
    assert max(resumed) == max(uninterrupted)


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
