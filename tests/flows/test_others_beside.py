"""Tasks and models that are not of this package run beside it as they do without."""

import re

import pytest
import torch

from tests.fairseq_commands import PLUGIN, monolingual_data, parallel_data, run

COMMON = "--user-dir", PLUGIN, "--cpu"
TRAINING = (
    "--optimizer", "adam", "--lr", 0.01, "--max-tokens", 200, "--max-update", 2,
    "--no-epoch-checkpoints",
)  # fmt: skip


def test_a_task_with_a_dictionary_for_each_language(tmp_path):
    data = parallel_data(tmp_path)
    task = "--task", "multilingual_translation", "--lang-pairs", "in-out,out-in"
    sizes = [
        part
        for side in ("encoder", "decoder")
        for part in (f"--{side}-embed-dim", 4, f"--{side}-ffn-embed-dim", 4, f"--{side}-layers", 1)
    ]
    arch = "--arch", "multilingual_transformer_iwslt_de_en", *sizes
    run("train", data, *COMMON, *task, *arch, *TRAINING, "--save-dir", tmp_path)
    path = "--path", tmp_path / "checkpoint_last.pt", "--batch-size", 8
    for languages in (("in", "out"), ("out", "in")):
        pair = "--source-lang", languages[0], "--target-lang", languages[1]
        output = run("generate", data, *COMMON, *task, *pair, *path).stdout
        assert len(re.findall(r"^H-", output, re.MULTILINE)) == 11

    words = (data / "dict.out.txt").read_text().splitlines(keepends=True)
    (data / "dict.out.txt").write_text("".join(reversed(words)))
    result = run("generate", data, *COMMON, *task, *pair, *path, check=False)
    line = f"error: {path[1]}: its out dictionary has other words than the one of {data}"
    assert result.stdout.splitlines()[-1] == line


BLOCKS = "--tokens-per-sample", 20
LIGHT = (
    "--task", "language_modeling", "--arch", "lightconv_lm", *BLOCKS,
    "--decoder-embed-dim", 8, "--decoder-ffn-embed-dim", 8, "--decoder-attention-heads", 2,
    "--decoder-layers", 1, "--decoder-kernel-size-list", "[3]",
)  # fmt: skip


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """Data and checkpoint of a model with a weight that is neither initialised nor read."""
    folder = tmp_path_factory.mktemp("light")
    data = monolingual_data(folder)
    run("train", data, *COMMON, *LIGHT, *TRAINING, "--save-dir", folder)
    return data, folder / "checkpoint_last.pt"


def with_nan(checkpoint, target, weight):
    """Save ``checkpoint`` to ``target`` with a first number of ``weight`` that is NaN."""
    state = torch.load(checkpoint, weights_only=False)
    state["model"][weight].view(-1)[0] = float("nan")
    torch.save(state, target)
    return target


def perplexity(output):
    return float(re.search(r"Perplexity: (\S+)", output)[1])


def test_a_weight_that_nothing_reads_may_be_nan(light, tmp_path):
    data, checkpoint = light
    weight = "decoder.layers.0.conv.conv_bias"
    zero = torch.load(checkpoint, weights_only=False)
    zero["model"][weight].zero_()
    torch.save(zero, tmp_path / "zero.pt")
    path = with_nan(checkpoint, tmp_path / "nan.pt", weight)
    outputs = [
        run("eval-lm", data, *COMMON, *BLOCKS, "--path", each).stdout
        for each in (tmp_path / "zero.pt", path)
    ]
    assert perplexity(outputs[0]) == perplexity(outputs[1]) > 1
    warning = f"{path}: {weight} holds NaN or infinity, which counts only if it is read"
    assert warning not in outputs[0]
    assert outputs[1].count(warning) == 1

    resumed = *TRAINING, "--restore-file", path, "--max-update", 3, "--save-dir", tmp_path
    output = run("train", data, *COMMON, *LIGHT, *resumed).stdout
    assert warning in output
    assert "num_updates 3" in output


def test_a_weight_that_is_read_may_not(light, tmp_path):
    data, checkpoint = light
    path = with_nan(checkpoint, tmp_path / "nan.pt", "decoder.layers.0.fc1.weight")
    result = run("eval-lm", data, *COMMON, *BLOCKS, "--path", path, check=False)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == (
        f"error: {path}: a probability is NaN, since decoder.layers.0.fc1.weight holds NaN or"
        " infinity"
    )
