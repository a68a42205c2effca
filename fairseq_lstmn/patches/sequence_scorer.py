"""``fairseq.sequence_scorer``: what scores given text, as eval-lm and ``--score-reference`` do."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Concatenate, ParamSpec, TypeVar

from fairseq import utils
from fairseq.models import BaseFairseqModel
from fairseq.sequence_scorer import SequenceScorer
from torch import nn

from fairseq_lstmn.data import Sample
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.alignment import align, attention_in, average
from fairseq_lstmn.patches.registry import patch
from fairseq_lstmn.patches.sequence_generator import Hypotheses
from fairseq_lstmn.training import carried

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")


@patch(SequenceScorer, "generate")
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


@patch(SequenceScorer, "generate")
def score_with_carried_tapes(
    generate: Callable[
        Concatenate[SequenceScorer, Sequence[BaseFairseqModel], Sample, Rest], Result
    ],
    scorer: SequenceScorer,
    models: Sequence[BaseFairseqModel],
    sample: Sample,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """fairseq's ``SequenceScorer.generate``.

    Raises InputError for a model that carries its tapes where batches do not continue one another.
    """
    if "continues" not in sample["net_input"]:
        for model in models:
            check_carries_nothing(model)
    return generate(scorer, models, sample, *args, **kwargs)


def check_carries_nothing(model: Any) -> None:
    """Raise InputError for a model with ``--carry-tape``."""
    tapes = carried.of_model(model)
    if tapes is not None:
        raise InputError(
            f"--carry-tape {tapes.slots}: is scored with --task contiguous_language_modeling, the"
            " batches of this task do not continue one another; to score each block by itself, add"
            " --model-overrides \"{'carry_tape': 0}\""
        )
