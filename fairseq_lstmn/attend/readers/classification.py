"""Classifiers of sentences and of pairs: attention within each, the premise's, their answers."""

from collections.abc import Iterator, Sequence
from typing import Any

from fairseq.data import Dictionary

from fairseq_lstmn.attend.readers.sentences import check_length, unknown
from fairseq_lstmn.attend.reading import Map, Reading
from fairseq_lstmn.attend.recurrence import Calls, across, within
from fairseq_lstmn.inference.checkpoint import Trained
from fairseq_lstmn.inference.classifier import Classifier
from fairseq_lstmn.inference.lines import Sentence
from fairseq_lstmn.modules.recording import recorded


class SentenceReader:
    """Reads one sentence a line."""

    names: tuple[str, ...] = ("text",)

    def __init__(self, trained: Trained) -> None:
        self.trained, self.classifier = trained, Classifier(trained)
        self.lines = self.classifier.lines
        self.dictionary: Dictionary = trained.task.source_dictionary

    def encode(self, line: bytes) -> list[Sentence]:
        """The ``Sentence``s of a line (bytes). Raises BadLine."""
        sentences = self.classifier.sentences(line)
        for sentence in sentences:
            check_length(len(sentence.tokens), self.trained.model.max_positions())
        return sentences

    @staticmethod
    def size(row: Sequence[Sentence]) -> int:
        return max(len(sentence.tokens) for sentence in row)

    def read(self, rows: list[list[Sentence]]) -> Iterator[Reading]:
        """A ``Reading`` for each row of ``Sentence``s."""
        lengths = [[len(sentence.tokens) for sentence in side] for side in zip(*rows)]
        with recorded(self.trained.model) as calls:
            answered = self.classifier.answered(rows)
        for row, found, *maps in zip(rows, answered, *self.maps(calls, lengths)):
            yield Reading(
                {name: self.tokens(part) for name, part in zip(self.names, row)},
                maps,
                {name: unknown(self.dictionary, s.tokens) for name, s in zip(self.names, row)},
                **self.answer(found),
            )

    def answer(self, found: Sequence[float]) -> Any:
        """What a ``Reading`` has of the outputs ``found``, by their names."""
        kind = "values" if self.classifier.regression else "probabilities"
        return {kind: dict(zip(self.classifier.outputs, found))}

    def maps(self, calls: Calls, lengths: list[list[int]]) -> Iterator[Iterator[Map]]:
        """For every layer its rows' ``Map``s; ``lengths`` are those of the rows' sides."""
        [text_lengths] = lengths
        for k, layer in enumerate(self.trained.model.reader.layers, start=1):
            found = calls[layer][0].tape
            yield within(found, text_lengths, "text", k, "text", is_lstm=layer.is_lstm)

    def tokens(self, sentence: Sentence) -> list[str]:
        return [*sentence.words, self.dictionary[self.dictionary.eos()]]


class PairReader(SentenceReader):
    """Reads a premise and a hypothesis a line."""

    names = ("premise", "hypothesis")

    def maps(self, calls: Calls, lengths: list[list[int]]) -> Iterator[Iterator[Map]]:
        """Premise, hypothesis and fusion, each from the first layer on."""
        premise_lengths, hypothesis_lengths = lengths
        reader = self.trained.model.reader
        premise_layers = (reader.premise or reader.hypothesis).layers
        premise = [calls[layer].pop(0) for layer in premise_layers]
        hypothesis = [calls[layer].pop(0) for layer in reader.hypothesis.layers]
        for k, (layer, found) in enumerate(zip(premise_layers, premise), start=1):
            named = premise_lengths, "premise", k, "premise"
            yield within(found.tape, *named, is_lstm=layer.is_lstm)
        for k, (layer, found) in enumerate(zip(reader.hypothesis.layers, hypothesis), start=1):
            named = hypothesis_lengths, "hypothesis", k, "hypothesis"
            yield within(found.tape, *named, is_lstm=layer.is_lstm)
        for k, found in enumerate(hypothesis, start=1):
            if found.source is not None:
                sides, names = (hypothesis_lengths, premise_lengths), ("hypothesis", "premise")
                # a tape's slots, of which the premise's are read, stand at its end
                yield across(found.source, *sides, k, *names, left_padded=True)
