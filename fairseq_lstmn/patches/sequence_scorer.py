"""fairseq's scores of references.

B batch, S source length, T words of a reference with the end of the sentence.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from fairseq import utils
from fairseq.models import BaseFairseqModel
from fairseq.sequence_scorer import SequenceScorer
from torch import nn

from fairseq_lstmn.patches.alignment import align, attention_in, average
from fairseq_lstmn.patches.sequence_generator import Hypotheses, Sample


def generate(
    score: Callable[..., Hypotheses],
    scorer: SequenceScorer,
    models: list[BaseFairseqModel],
    sample: Sample,
    **kwargs: object,
) -> Hypotheses:
    """The scorer's ``generate``, with attention (T, S) of the models that have one.

    Raises:
        InputError: an alignment is asked for and no model attends to the source.
    """
    with ExitStack() as hooks:
        for model in models:
            hooks.enter_context(model.register_forward_hook(say_none_plainly))
        hypotheses = score(scorer, models, sample, **kwargs)
    for row, (hypothesis,) in enumerate(hypotheses):
        attention = hypothesis["attention"]
        if attention is not None and len(models) > 1:
            attention = hypothesis["attention"] = average(attention, dim=1)
        if kind := scorer.compute_alignment:
            extract = (
                utils.extract_soft_alignment if kind == "soft" else utils.extract_hard_alignment
            )
            source, target = sample["net_input"]["src_tokens"][row], sample["target"][row]
            hypothesis["alignment"] = align(
                extract, attention, source, target, scorer.pad, scorer.eos
            )
    return hypotheses


def say_none_plainly(model: nn.Module, inputs: object, output: Any) -> Any:
    """A forward hook: ``{"attn": [None]}`` becomes ``{"attn": None}``, for which fairseq tests."""
    if len(output) > 1 and isinstance(output[1], dict) and attention_in(output) is None:
        return (output[0], {**output[1], "attn": None}, *output[2:])
    return output
