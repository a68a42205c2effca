"""CONTRIBUTING.md: its worked example works, and what it names is there."""

import re
from pathlib import Path

import pytest
import torch

from fairseq_lstmn.modules import fusion
from fairseq_lstmn.modules.lstmn_stack import LSTMNStack

CHECKOUT = Path(__file__).resolve().parents[1]
TEXT = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_fusion_of_a_day_reads_and_learns(monkeypatch):
    code = next(c for c in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "Fusion" in c)
    names = dict(vars(fusion))
    exec(code, names)
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


PATHS = set(re.findall(r"`((?:examples|scripts|tests)/[\w./]+)`", TEXT))


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_path_that_it_names_is_there(path):
    assert (CHECKOUT / path).exists()
