"""Classifiers of sentences and of pairs: attention within each, the premise's, their answers."""

from collections.abc import Iterator, Sequence

from fairseq_lstmn.attend.readers.base import Reader, check_length, reads, unknown
from fairseq_lstmn.attend.reading import Map, Reading
from fairseq_lstmn.attend.recording import Calls, maps_across, maps_within, recorded
from fairseq_lstmn.inference.checkpoint import TrainedModel
from fairseq_lstmn.inference.classifier import Classifier
from fairseq_lstmn.inference.lines import Sentence
from fairseq_lstmn.models.classifiers import LSTMNClassifier
from fairseq_lstmn.models.nli import LSTMNPairModel


@reads(LSTMNClassifier)
class SentenceReader(Reader[list[Sentence]]):
    """Reads one sentence a line."""

    names: tuple[str, ...] = ("text",)

    def __init__(self, trained: TrainedModel, beam: int) -> None:
        super().__init__(trained, beam)
        self.classifier = Classifier(trained)
        self.lines = self.classifier.lines

    def encode(self, line: bytes) -> list[Sentence]:
        sentences = self.classifier.sentences(line)
        for sentence in sentences:
            check_length(len(sentence.tokens), self.model.max_positions())
        return sentences

    def size(self, row: Sequence[Sentence]) -> int:
        return max(len(sentence.tokens) for sentence in row)

    def read(self, rows: list[list[Sentence]]) -> Iterator[Reading]:
        lengths = [[len(sentence.tokens) for sentence in side] for side in zip(*rows)]
        with recorded(self.model) as calls:
            scores = self.classifier.scores(rows)
        end = self.dictionary[self.dictionary.eos()]
        for row, outputs, *maps in zip(rows, scores, *self.maps(calls, lengths)):
            sides = dict(zip(self.names, row))
            named = dict(zip(self.classifier.outputs, outputs))
            yield Reading(
                {name: [*sentence.words, end] for name, sentence in sides.items()},
                maps,
                {name: unknown(self.dictionary, side.tokens) for name, side in sides.items()},
                probabilities={} if self.classifier.regression else named,
                values=named if self.classifier.regression else {},
            )

    def maps(self, calls: Calls, lengths: list[list[int]]) -> Iterator[list[Map]]:
        """For every layer its rows' ``Map``s; ``lengths`` are those of the rows' sides."""
        layers = self.model.reader.layers
        return maps_within(layers, (calls[k][0] for k in layers), lengths[0], "text", "text")


@reads(LSTMNPairModel)
class PairReader(SentenceReader):
    """Reads a premise and a hypothesis a line."""

    names = ("premise", "hypothesis")

    def maps(self, calls: Calls, lengths: list[list[int]]) -> Iterator[list[Map]]:
        """Premise, hypothesis and fusion, each from the first layer on."""
        reader = self.model.reader
        layers = (reader.premise or reader.hypothesis).layers, reader.hypothesis.layers
        # layers that read both sides have read the premise first
        attention = [[calls[layer].pop(0) for layer in side] for side in layers]
        for k, name in enumerate(self.names):
            yield from maps_within(layers[k], attention[k], lengths[k], name, name)
        # a tape's slots, of which the premise's are read, stand at its end
        sources = [attended.source for attended in attention[1]]
        sides = lengths[1], lengths[0], "hypothesis", "premise"
        yield from maps_across(sources, *sides, left_padded=True)
