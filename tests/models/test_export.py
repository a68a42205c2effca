"""Whole models in torch's compilers: what works, and what says so in one line."""

import pytest
import torch
from torch.export import Dim

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.models.classifiers import LSTMClassifierConfig
from tests.attend.small_models import trained
from tests.models.small import build

ANY = Dim.DYNAMIC
LANGUAGE_MODELS = ["lm, 3 layers, span", "lm, pointer", "lm, no tape", "lm, adaptive softmax"]
TOKENS, OTHERS = torch.randint(4, 24, (2, 6)), torch.randint(4, 24, (3, 11))
LENGTHS = torch.tensor([11, 7, 2])


@pytest.mark.parametrize("case", LANGUAGE_MODELS)
def test_an_exported_language_model_reads_batches_of_other_sizes(case, tmp_path):
    model = trained(case).model
    sizes = {"src_tokens": {0: ANY, 1: ANY}}
    exported = torch.export.export(model, (TOKENS,), dynamic_shapes=sizes)
    torch.export.save(exported, tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    torch.testing.assert_close(loaded(OTHERS)[0], model(OTHERS)[0])


@pytest.mark.parametrize(
    "case, arguments",
    [
        ("lm, pointer", (OTHERS,)),
        ("translation, deep", (OTHERS, LENGTHS, OTHERS)),
        ("classifier", (OTHERS, LENGTHS, True, "head")),
    ],
)
def test_compiled_models_compute_the_same(case, arguments):
    model = trained(case).model
    compiled = torch.compile(model, backend="aot_eager")
    torch.testing.assert_close(compiled(*arguments)[0], model(*arguments)[0])


@pytest.mark.parametrize("case", ["lm", "translation, deep", "classifier", "pair"])
def test_scripting_says_what_works_instead(case):
    model = trained(case).model
    with pytest.raises(InputError, match="torch.jit.script: .* torch.export.export") as error:
        torch.jit.script(model)
    assert "\n" not in str(error.value)


def test_a_model_that_was_not_scripted_is_as_before():
    model = trained("lm").model
    expected = model(TOKENS)[0]
    with pytest.raises(InputError):
        torch.jit.script(model)
    assert torch.equal(model(TOKENS)[0], expected)


def test_rivals_without_a_tape_say_so_too():
    config = LSTMClassifierConfig(encoder_embed_dim=4, encoder_hidden_size=4)
    with pytest.raises(InputError, match="torch.compile"):
        torch.jit.script(build(config, "lstm_classifier"))
