"""Training in half precisions against float32: fairseq's flags do what they say."""

import pytest

from tests.fairseq_commands import logged, run

from .corpora import COMMON, PAIRS, TRANSLATION, write_corpora

UPDATES = 207  # 23 epochs
PRECISIONS = {
    "float32": (),
    "float16": ("--fp16", "--fp16-no-flatten-grads"),  # flattened, fairseq wants them on a GPU
    "float16 throughout": ("--memory-efficient-fp16",),
    "bfloat16": ("--bf16",),
    "bfloat16 throughout": ("--memory-efficient-bf16",),
}
# {name: (kind of corpus, options, precisions)}; pairs are not learnt in half precision throughout:
# updates that are lost for want of float32 copies make 2% of the loss, up to 10% at twice the rate
MODELS = {
    "translation": ("translation", (*TRANSLATION, "--lr", 0.005), PRECISIONS),
    "pairs": ("pairs", (*PAIRS, "--lr", 0.001), ("float32", "float16", "bfloat16")),
}
CASES = [(name, how) for name, (*_, precisions) in MODELS.items() for how in precisions]


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    """{(model, precision): the loss of every epoch}."""
    folder = tmp_path_factory.mktemp("precision")
    data = write_corpora(folder)
    short = "--max-update", UPDATES, "--no-save", "--disable-validation", "--log-interval", 999
    of_epochs = {}
    for name, how in CASES:
        kind, options, _ = MODELS[name]
        output = run(
            "train", data[kind][0], *COMMON, *options, *PRECISIONS[how], *short
        ).stdout  # fmt: skip
        of_epochs[name, how] = [float(entry["train_loss"]) for entry in logged(output, "train")]
    return of_epochs


@pytest.mark.parametrize("name, how", [case for case in CASES if case[1] != "float32"])
def test_the_loss_is_that_of_float32(losses, name, how):
    first, *_, last = losses[name, "float32"]
    assert last < 0.85 * first  # something has been learnt
    # measured: 0.17% for translation in bfloat16 throughout, else 0.03% at most
    assert losses[name, how][-1] == pytest.approx(last, rel=0.01)
