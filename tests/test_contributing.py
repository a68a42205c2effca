"""CONTRIBUTING.md: its worked examples work, and what it names is there."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary
from fairseq.tasks.masked_lm import MaskedLMTask

from fairseq_lstmn.compare.kinds import kind, language, recall
from fairseq_lstmn.modules import fusion
from fairseq_lstmn.modules.lstmn_stack import LSTMNStack

CHECKOUT = Path(__file__).resolve().parents[1]
TEXT = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def names_of(example, **names):
    """What the code with the class ``example`` defines, and the names that it finds there."""
    (code,) = (code for code in EXAMPLES if f"class {example}" in code)
    exec(code, names)
    return names


def test_the_fusion_of_a_day_reads_and_learns(monkeypatch):
    names = names_of("SelectiveFusion", **vars(fusion))
    monkeypatch.setitem(fusion.FUSIONS, "selective", names["SelectiveFusion"])
    choices = "selective", "summary", "concat"
    stack = LSTMNStack(
        3, 4, layers=1, fusion=lambda k, width: fusion.build_fusion(k, width, 5, 4, *choices)
    )
    hidden, memory = torch.randn(2, 6, 5), torch.randn(2, 6, 5)
    sources = stack.sources([hidden], [memory], torch.ones(2, 6, dtype=torch.bool))
    outputs = stack(torch.randn(2, 7, 3), sources=sources)[0]
    outputs.sum().backward()
    assert stack.layers[0].fusion.select.weight.grad.abs().sum() > 0


def test_the_kind_of_an_hour_is_scored(monkeypatch):
    monkeypatch.setattr(kind, "KINDS", [*kind.KINDS])
    also = {"by_frequency": language.by_frequency, "word_counts": language.word_counts}
    names_of("MaskedLanguageModelling", **vars(recall), **also, MaskedLMTask=MaskedLMTask)
    masked = kind.kind_of(MaskedLMTask)
    assert type(masked).__name__ == "MaskedLanguageModelling"

    dictionary = Dictionary()
    a, b = map(dictionary.add_symbol, "ab")
    pad = dictionary.pad()
    sample = {"id": torch.tensor([7, 9]), "target": torch.tensor([[pad, a, b], [a, pad, pad]])}
    chances = torch.zeros(3, len(dictionary))
    chances[:, [a, b]] = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.25, 0.75]])
    task = SimpleNamespace(source_dictionary=dictionary)
    recorded = masked.record(task, sample, None, [chances.log()])
    arrays = {name: values.numpy() for name, values in recorded.items()}
    predictions = masked.predictions({"classes": np.array(masked.classes(task)), **arrays})

    assert predictions.targets == ["a", "b", "a"] and predictions.units().tolist() == [0, 0, 1]
    assert predictions.bucketings(None, "train") == []
    scores = [metric.score(metric.statistics(predictions).sum(axis=0)) for metric in masked.metrics]
    assert scores == pytest.approx([100 * 2 / 3, (4 / 3 * 4 / 3 * 4) ** (1 / 3)])


PATHS = set(re.findall(r"`((?:examples|scripts|tests)/[\w./]+)`", TEXT))


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_path_that_it_names_is_there(path):
    assert (CHECKOUT / path).exists()
