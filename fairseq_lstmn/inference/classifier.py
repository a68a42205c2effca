"""A trained classifier, or a model of regression, that reads lines of text."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from fairseq_lstmn.data.datasets import collate_sentences
from fairseq_lstmn.data.labels import outputs
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.inference.checkpoint import TrainedModel
from fairseq_lstmn.inference.lines import BadLine, LineReader, Sentence, encode_lines


class Prediction(NamedTuple):
    """The probabilities of the classes, or the numbers of regression; or why there are none."""

    outputs: tuple[float, ...] = ()
    error: str | None = None
    all_unknown: bool = False  # not one of the line's words is known


class Classifier:
    """A ``TrainedModel`` with a head.

    Raises InputError for one that has none, or not one class for each label of its data.

    Attributes:
        regression: whether it predicts numbers instead of probabilities.
        outputs: the names of the classes, or of the numbers.
    """

    def __init__(self, trained: TrainedModel) -> None:
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

    def predict(self, lines: Iterable[bytes]) -> list[Prediction]:
        """A ``Prediction`` for each of ``lines`` (bytes)."""
        rows, errors = encode_lines(lines, self.sentences)
        predictions = {number: Prediction(error=error) for number, error in errors.items()}
        for number, scores in zip(rows, self.scores([*rows.values()]) if rows else ()):
            all_unknown = self.all_unknown(rows[number])
            predictions[number] = Prediction(scores, all_unknown=all_unknown)
        return [predictions[number] for number in sorted(predictions)]

    def all_unknown(self, row: Sequence[Sentence]) -> bool:
        unk = self.task.source_dictionary.unk()
        return all(bool((sentence.tokens[:-1] == unk).all()) for sentence in row)

    def sentences(self, line: bytes) -> list[Sentence]:
        """The one or two ``Sentence``s of a line (bytes). Raises BadLine."""
        texts = self.lines.fields(line)
        expected = getattr(self.task, "sentences", 1)
        if len(texts) != expected:
            raise BadLine(
                f"{len(texts)} sentences separated by TAB, but the model reads {expected}"
            )
        sentences = [self.lines.sentence(text, self.task.source_dictionary) for text in texts]
        tokens = sum(len(sentence.tokens) for sentence in sentences)
        most = self.trained.model.max_positions()
        if tokens > most:
            raise BadLine(
                f"{tokens} tokens with the ends of sentences, but the model reads at most {most}"
            )
        return sentences

    @torch.no_grad()
    def scores(self, rows: Sequence[Sequence[Sentence]]) -> list[tuple[float, ...]]:
        """Tuples of probabilities, or of numbers, for rows of one or two ``Sentence``s."""
        tokens = [[sentence.tokens for sentence in row] for row in rows]
        pad = self.task.source_dictionary.pad()
        arguments = self.trained.to_device(collate_sentences(tokens, pad))
        logits, _ = self.trained.model(
            **arguments, features_only=True, classification_head_name=self.head
        )
        scores = logits.float() if self.regression else logits.float().softmax(dim=1)
        return [tuple(row) for row in scores.tolist()]
