"""Associative recall: pairs of a key and a value are read, then asked for by their keys."""

import re
from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.data import Dictionary
from fairseq.tasks import register_task
from omegaconf import II

from fairseq_lstmn.data.recall import Recall, RecallDataset, stream
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.tasks.embed_std import EmbedStdConfig, EmbedStdTask


@dataclass
class RecallConfig(EmbedStdConfig):
    """Options of ``recall``, which has no data to read."""

    pairs: str = field(
        default="4",
        metadata={
            "help": "pairs of an example; FEWEST-MOST to train on any number from one to the "
            "other, while valid and test have the most"
        },
    )
    pairs_growth: int = field(
        default=0,
        metadata={
            "help": "train on at most 4 pairs in the first N epochs, then on at most twice as many "
            "in the next N, and so on; 0 = on all from the start"
        },
    )
    num_keys: int = field(
        default=16, metadata={"help": "keys, of which those of an example differ"}
    )
    num_values: Optional[int] = field(
        default=None, metadata={"help": "values (default: --num-keys)"}
    )
    train_examples: int = field(
        default=64000, metadata={"help": "examples of an epoch, drawn anew for each"}
    )
    test_examples: int = field(
        default=1000, metadata={"help": "examples of valid, and of test; the same for every --seed"}
    )
    # transformer_lm takes these from its task, by these names
    tokens_per_sample: int = field(
        default=1024,
        metadata={"help": "tokens that a model with a limit, such as transformer_lm, is built for"},
    )
    max_target_positions: Optional[int] = field(
        default=None, metadata={"help": "the same, before --tokens-per-sample"}
    )
    add_bos_token: bool = field(default=False, metadata={"help": "refused: examples have none"})
    seed: int = II("common.seed")


@register_task("recall", dataclass=RecallConfig)
class RecallTask(EmbedStdTask):
    """Associative recall for language models, drawn while they train.

    ``k1 v1 ... kn vn`` is read, then all n keys in another order, and at each of them its value is
    to be said; all else is padding among the targets. What is trained on depends on ``--seed`` and
    is drawn anew in every epoch; valid and test are always the same.

    Attributes:
        parts: what there is to be loaded, for commands that would look into the data otherwise.
    """

    cfg: RecallConfig
    parts = "train", "valid", "test"

    def __init__(self, cfg: RecallConfig) -> None:
        super().__init__(cfg)
        fewest, most = pairs(cfg)
        keys, values = cfg.num_keys, cfg.num_keys if cfg.num_values is None else cfg.num_values
        self.training = Recall(fewest, most, keys, values)
        self.testing = Recall(most, most, keys, values)
        self.dictionary = self.output_dictionary = self.training.dictionary()

    @classmethod
    def setup_task(cls, cfg: Any, **kwargs: Any) -> "RecallTask":
        """Raises InputError for options under which there are no examples."""
        if cfg.add_bos_token:
            raise InputError("--add-bos-token: not with --task recall, whose examples have none")
        for name in (
            *("num_keys", "num_values", "train_examples", "test_examples"),
            *("tokens_per_sample", "max_target_positions"),
        ):
            if cfg[name] is not None and cfg[name] < 1:
                raise InputError(f"--{name.replace('_', '-')} {cfg[name]}: must be 1 or above")
        if cfg.pairs_growth < 0:
            raise InputError(f"--pairs-growth {cfg.pairs_growth}: must be 0 or above")
        return super().setup_task(cfg)

    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> None:
        """Raises InputError for a part that there is not."""
        if split not in self.parts:
            raise InputError(f"--task recall: {split}: must be one of {', '.join(self.parts)}")
        trains = split == "train"
        self.datasets[split] = RecallDataset(
            self.training if trains else self.testing,
            stream(self.parts.index(split), self.cfg.seed if trains else 0),
            self.dictionary,
            size=self.cfg.train_examples if trains else self.cfg.test_examples,
            trains=trains,
            growth=self.cfg.pairs_growth if trains else 0,
        )

    @property
    def source_dictionary(self) -> Dictionary:
        return self.dictionary

    @property
    def target_dictionary(self) -> Dictionary:
        return self.output_dictionary


def pairs(cfg: RecallConfig) -> tuple[int, int]:
    """The fewest and the most pairs of an example. Raises InputError if there can be no such."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", cfg.pairs)
    if match is None:
        raise InputError(f"--pairs {cfg.pairs}: must be a number or FEWEST-MOST, such as 2-16")
    fewest = int(match[1])
    most = int(match[2] or fewest)
    if not 1 <= fewest <= most <= cfg.num_keys:
        raise InputError(
            f"--pairs {cfg.pairs}: must rise, from 1 on up to --num-keys {cfg.num_keys}, since the "
            "keys of an example differ"
        )
    return fewest, most
