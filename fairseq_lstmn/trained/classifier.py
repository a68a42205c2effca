"""A trained classifier that answers lines of text."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from fairseq_lstmn.data.sentence_pairs import collate
from fairseq_lstmn.data.sentence_prediction import classes
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.trained.checkpoint import Trained
from fairseq_lstmn.trained.lines import BadLine, LineReader, Sentence


class Answer(NamedTuple):
    """The probabilities of the classes, or why there are none."""

    probabilities: tuple[float, ...] = ()
    error: str | None = None


class Classifier:
    """A ``Trained`` model with a head; raises InputError for one that has none."""

    def __init__(self, trained: Trained) -> None:
        self.trained, self.task = trained, trained.task
        self.head = getattr(self.task.cfg, "classification_head_name", None)
        if self.head not in getattr(trained.model, "classification_heads", {}):
            raise InputError(f"{trained.path}: its model does not classify")
        self.classes = classes(self.task)
        self.lines = LineReader(trained.normalisation)

    def answers(self, lines: Iterable[bytes]) -> list[Answer]:
        """An Answer for each of ``lines`` (bytes)."""
        read = [self._sentences(line) for line in lines]
        sound = [found for found in read if not isinstance(found, BadLine)]
        probabilities = iter(self.probabilities(sound) if sound else ())
        return [
            Answer(error=str(found)) if isinstance(found, BadLine) else Answer(next(probabilities))
            for found in read
        ]

    def _sentences(self, line: bytes) -> list[Sentence] | BadLine:
        try:
            return self.sentences(line)
        except BadLine as error:
            return error

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
    def probabilities(self, rows: Sequence[Sequence[Sentence]]) -> list[tuple[float, ...]]:
        """Tuples of the classes' probabilities for rows of one or two ``Sentence``s."""
        tokens = [[sentence.tokens for sentence in row] for row in rows]
        arguments = self.trained.to_device(collate(tokens, self.task.source_dictionary.pad()))
        scores, _ = self.trained.model(
            **arguments, features_only=True, classification_head_name=self.head
        )
        return [tuple(row) for row in scores.float().softmax(dim=1).tolist()]
