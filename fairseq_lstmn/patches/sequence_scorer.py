"""``fairseq.sequence_scorer``: what scores given text, as eval-lm and ``--score-reference`` do."""

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from fairseq.models import BaseFairseqModel
from fairseq.sequence_scorer import SequenceScorer

from fairseq_lstmn.data import Sample
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.training import carried

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")


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
