"""Settings are plain values, and no warning is printed of which users can do nothing."""

import subprocess
import sys

import pytest
from fairseq import utils

from tests.fairseq_commands import PLUGIN, monolingual_data, parallel_data, run

COMMON = "--user-dir", PLUGIN, "--cpu"
TRAINING = "--optimizer", "adam", "--lr", 0.01, "--max-tokens", 200, "--max-update", 1
DECODER = "--decoder-embed-dim", 4, "--decoder-layers", 1


def warnings_in(output):
    return [line for line in output.splitlines() if "Warning: " in line]


def test_a_language_model_is_trained_and_scored_without(tmp_path):
    data = monolingual_data(tmp_path)
    model = "--task", "language_modeling", "--arch", "lstmn_lm", *DECODER
    save = "--tokens-per-sample", 20, "--save-dir", tmp_path
    outputs = [
        run("train", data, *COMMON, *model, *TRAINING, *save).stdout,
        run("eval-lm", data, *COMMON, "--path", tmp_path / "checkpoint_last.pt").stdout,
    ]
    assert warnings_in("\n".join(outputs)) == []


CONVOLUTIONS = "--encoder-layers", "[(4, 3)]", "--decoder-layers", "[(4, 3)]"
WIDE = "--encoder-embed-dim", 8, "--decoder-embed-dim", 8
TRANSFORMER = (
    *WIDE, "--encoder-layers", 1, "--decoder-layers", 1, "--encoder-ffn-embed-dim", 4,
    "--decoder-ffn-embed-dim", 4,
)  # fmt: skip


@pytest.mark.parametrize(
    "arch, sizes",
    [
        ("lstmn_deep", WIDE),
        ("transformer_iwslt_de_en", TRANSFORMER),
        ("fconv_iwslt_de_en", (*WIDE, *CONVOLUTIONS)),
    ],
)
def test_a_translation_is_trained_and_made_without(tmp_path, arch, sizes):
    data = parallel_data(tmp_path)
    model = "--arch", arch, *sizes, "--source-lang", "in", "--target-lang", "out"
    outputs = [
        run("train", data, *COMMON, *model, *TRAINING, "--save-dir", tmp_path).stdout,
        run("generate", data, *COMMON, "--path", tmp_path / "checkpoint_last.pt").stdout,
    ]
    assert warnings_in("\n".join(outputs)) == []


def test_other_warnings_are_printed():
    said = (
        "'pin_memory' argument is set as false",
        "`torch.cuda.amp.autocast(args...)` is deprecated",
    )
    code = f"import warnings, fairseq_lstmn; [warnings.warn(text) for text in {said!r}]"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert [line.partition("Warning: ")[2] for line in warnings_in(result.stderr)] == list(said)


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
