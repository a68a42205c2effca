"""A trained classifier, or a model of regression, that answers lines of text."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from fairseq_lstmn.data.datasets import collate_sentences
from fairseq_lstmn.data.labels import outputs
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.inference.checkpoint import Trained
from fairseq_lstmn.inference.lines import BadLine, LineReader, Sentence


class Answer(NamedTuple):
    """The probabilities of the classes, or the numbers of regression; or why there are none."""

    outputs: tuple[float, ...] = ()
    error: str | None = None
    all_unknown: bool = False  # not one of the line's words is known


class Classifier:
    """A ``Trained`` model with a head.

    Raises InputError for one that has none, or not one class for each label of its data.

    Attributes:
        regression: whether it answers with numbers instead of probabilities.
        outputs: the names of the classes, or of the numbers.
    """

    def __init__(self, trained: Trained) -> None:
        self.trained, self.task = trained, trained.task
        self.head = getattr(self.task.cfg, "classification_head_name", None)
        if self.head not in getattr(trained.model, "classification_heads", {}):
            raise InputError(f"{trained.path}: its model does not classify")
        self.regression: bool = self.task.cfg.regression_target
        try:
            self.outputs = outputs(self.task)
        except InputError as error:
            raise InputError(f"{trained.path}: {error}") from None
        self.lines = LineReader(trained.normalisation)

    def answers(self, lines: Iterable[bytes]) -> list[Answer]:
        """An Answer for each of ``lines`` (bytes)."""
        rows = [self._sentences(line) for line in lines]
        sound = [row for row in rows if not isinstance(row, BadLine)]
        answered = iter(self.answered(sound) if sound else ())
        return [
            Answer(error=str(row))
            if isinstance(row, BadLine)
            else Answer(next(answered), all_unknown=self._all_unknown(row))
            for row in rows
        ]

    def _sentences(self, line: bytes) -> list[Sentence] | BadLine:
        try:
            return self.sentences(line)
        except BadLine as error:
            return error

    def _all_unknown(self, row: Sequence[Sentence]) -> bool:
        unk = self.task.source_dictionary.unk()
        return all(bool((sentence.tokens[:-1] == unk).all()) for sentence in row)

    def sentences(self, line: bytes) -> list[Sentence]:
        """The one or two ``Sentence``s of a line (bytes). Raises BadLine."""
        texts = self.lines.fields(line)
        wanted = getattr(self.task, "sentences", 1)
        if len(texts) != wanted:
            raise BadLine(f"{len(texts)} sentences separated by TAB, but the model reads {wanted}")
        found = [self.lines.sentence(text, self.task.source_dictionary) for text in texts]
        tokens = sum(len(sentence.tokens) for sentence in found)
        most = self.trained.model.max_positions()
        if tokens > most:
            raise BadLine(
                f"{tokens} tokens with the ends of sentences, but the model reads at most {most}"
            )
        return found

    @torch.no_grad()
    def answered(self, rows: Sequence[Sequence[Sentence]]) -> list[tuple[float, ...]]:
        """Tuples of probabilities, or of numbers, for rows of one or two ``Sentence``s."""
        tokens = [[sentence.tokens for sentence in row] for row in rows]
        arguments = self.trained.to_device(
            collate_sentences(tokens, self.task.source_dictionary.pad())
        )
        scores, _ = self.trained.model(
            **arguments, features_only=True, classification_head_name=self.head
        )
        found = scores.float() if self.regression else scores.float().softmax(dim=1)
        return [tuple(row) for row in found.tolist()]
