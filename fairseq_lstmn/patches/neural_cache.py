"""``fairseq-eval-lm --neural-cache``: the scores of a language model with a cache beside it.

M words of a batch, B rows, T steps, O features, K values of theta.
"""

import logging
import math
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, TypeAlias

import torch
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.models import BaseFairseqModel
from fairseq.sequence_scorer import SequenceScorer
from torch import Tensor

from fairseq_lstmn.data import Sample
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.neural_cache import NeuralCache, mixed
from fairseq_lstmn.patches.registry import Original

logger = logging.getLogger(__name__)

Row: TypeAlias = dict[str, Any]  # what fairseq's scorer says of a row

NO_FEATURES = "the model has no decoder whose output_layer reads features once for all words"
NOT_IN_ORDER = (
    "the batches do not go through the text in order (--task contiguous_language_modeling does with"
    " --batch-size 1)"
)
# tried by --cache-tune
THETAS = 0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0
LAMBDAS = 0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7


def add_options(parser: ArgumentParser) -> None:
    """The options of fairseq-eval-lm."""
    group = parser.add_argument_group("Neural cache")
    add = partial(group.add_argument, default=None)
    add("--neural-cache", type=int, metavar="N", help="mix in a cache of the latest N words")
    add("--cache-theta", type=float, metavar="T", help="weight of the states' similarity in it")
    add("--cache-lambda", type=float, metavar="L", help="its share of every probability")
    add("--cache-tune", metavar="SUBSET", help="choose both by this part of the data")


class CachedScoring:
    """A scoring with a neural cache, which goes from block to block of the text.

    Args:
        slots: of the cache, N.
        theta, share: its two numbers, of which lambda is the share, unless they are tuned.
        subset: the part of the data to tune them by, or None.

    Attributes:
        current: the one of this process; fairseq hands only its own options on.
        models: the one that is scored, when fairseq has prepared it.
    """

    current: ClassVar["CachedScoring | None"] = None

    def __init__(self, slots: int, theta: float, share: float, subset: str | None) -> None:
        self.cache = NeuralCache(slots)
        self.theta, self.share, self.subset = theta, share, subset
        self.models: list[BaseFairseqModel] = []
        self._last = -1  # the number of the latest block

    @classmethod
    def of(cls, args: Namespace) -> "CachedScoring | None":
        """That of a command's options, None without one. Raises InputError for bad ones."""
        slots, theta, share = args.neural_cache, args.cache_theta, args.cache_lambda
        subset, shards = args.cache_tune, max(args.num_shards, args.distributed_world_size)
        is_set = theta is not None, share is not None, subset is not None
        if slots is None and not any(is_set):
            return None
        name = f"--neural-cache {slots}"
        if slots is None or slots < 1:
            raise InputError(f"{name}: must be 1 or above, for --cache-... as well")
        if is_set not in ((True, True, False), (False, False, True)):
            raise InputError(f"{name}: needs --cache-theta and --cache-lambda, or --cache-tune")
        if subset == args.gen_subset:
            raise InputError(f"--cache-tune {subset}: is what is scored (--gen-subset)")
        if theta is not None and not 0 <= theta < math.inf:
            raise InputError(f"--cache-theta {theta}: must be 0 or above")
        if share is not None and not 0 <= share < 1:
            raise InputError(f"--cache-lambda {share}: must be 0 or above and below 1")
        if shards > 1:
            raise InputError(f"{name}: reads a text from end to end, not one of {shards} shards")
        if getattr(args, "add_bos_token", False):
            raise InputError(f"{name}: not with --add-bos-token, whose blocks do not go on")
        return cls(slots, theta or 0.0, share or 0.0, subset)

    def score(self, generate: Original, scorer: SequenceScorer, sample: Sample) -> list[list[Row]]:
        """What ``generate`` returns, with the cache in each word's logarithm."""
        rows, plain, cached = self._scored(generate, scorer, sample, [self.theta])
        scores = mixed(plain, cached[0], self.share)
        for row, of_row in zip(rows, scores.split([len(row["tokens"]) for row in rows])):
            row.update(positional_scores=of_row, score=of_row.sum() / len(of_row))
        return [[row] for row in rows]

    def tune(self, dictionary: Dictionary, batches: Iterable[Sample]) -> None:
        """Choose the two numbers by a text, of whose ``batches`` the cache keeps nothing."""
        scorer = SequenceScorer(dictionary)
        device = next(self.models[0].parameters()).device
        totals = torch.zeros(len(LAMBDAS), len(THETAS), dtype=torch.float64)
        words = 0
        CachedScoring.current = None  # while the model's own scores are read
        for sample in batches:
            sample = utils.move_to_cuda(sample, device)
            _, plain, cached = self._scored(SequenceScorer.generate, scorer, sample, THETAS)
            each = torch.stack([mixed(plain, cached, share) for share in LAMBDAS])
            totals += each.double().sum(dim=2).cpu()
            words += len(plain)
        CachedScoring.current = self
        self.cache.clear()
        self._last = -1
        by_lambda, by_theta = divmod(int(totals.argmax()), len(THETAS))
        self.share, self.theta = LAMBDAS[by_lambda], THETAS[by_theta]
        best, without = (math.exp(-float(t) / words) for t in (totals.max(), totals[0, 0]))
        logger.info(
            f"--cache-tune {self.subset}: of {totals.numel()} pairs theta {self.theta:g}, lambda"
            f" {self.share:g}, with a perplexity of {best:.2f} there, {without:.2f} without a cache"
        )

    def _scored(
        self, generate: Original, scorer: SequenceScorer, sample: Sample, thetas: Sequence[float]
    ) -> tuple[list[Row], Tensor, Tensor]:
        """Rows as ``generate`` has them; of their words, in the order of the text, the logarithms
        by the model (M,) and by the cache (K, M). Raises InputError where the cache cannot read.
        """
        name = f"--neural-cache {self.cache.slots}"
        numbers = [self._last, *sample["id"].tolist()]
        if numbers != sorted(numbers):
            raise InputError(f"{name}: {NOT_IN_ORDER}")
        self._last = numbers[-1]
        with features_read(self.models[0]) as features:
            rows = [row for (row,) in generate(scorer, self.models, sample)]
        if len(features) != 1:
            raise InputError(f"{name}: {NO_FEATURES}")
        starts = sample.get("start_indices", [0] * len(rows))
        spans = [slice(start, start + len(row["tokens"])) for start, row in zip(starts, rows)]
        states = torch.cat([of_row[span] for of_row, span in zip(features[0], spans)])
        words = torch.cat([row["tokens"] for row in rows])
        plain = torch.cat([row["positional_scores"] for row in rows])
        return rows, plain, self.cache.log_probabilities(states, words, plain, thetas)


@contextmanager
def features_read(model: BaseFairseqModel) -> Iterator[list[Tensor]]:
    """The features (B, T, O) of each call of the output layer of ``model``'s decoder, meanwhile."""
    features: list[Tensor] = []
    decoder = getattr(model, "decoder", None)
    output_layer = getattr(decoder, "output_layer", None)
    if output_layer is None:
        yield features
        return

    def read(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        features.append(x)
        return output_layer(x, *args, **kwargs)

    vars(decoder)["output_layer"] = read  # of this decoder alone
    try:
        yield features
    finally:
        del vars(decoder)["output_layer"]
