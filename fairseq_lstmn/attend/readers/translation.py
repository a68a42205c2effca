"""Encoder-decoders: attention within source and target, and from the target to the source.

B batch, T target steps, S source length, L layers.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from fairseq.data import Dictionary, data_utils
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor

from fairseq_lstmn.attend.readers.language import Output, bits
from fairseq_lstmn.attend.readers.sentences import check_length, unknown
from fairseq_lstmn.attend.reading import ACROSS, Map, Reading
from fairseq_lstmn.attend.recurrence import Calls, across, within
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.inference.checkpoint import Trained
from fairseq_lstmn.inference.lines import BadLine, LineReader, Sentence
from fairseq_lstmn.models.lstmn import LSTMNModel
from fairseq_lstmn.modules.recording import recorded

BEFORE = "(source)"  # the decoder's first slot: where the encoder ended


class Pair(NamedTuple):
    """A source and the translation that the line gives, if it does."""

    source: Sentence
    target: Sentence | None


class Translation(NamedTuple):
    """A source and its translation, which was given or found."""

    source: Sentence
    target: Sentence


class TranslationReader:
    """Reads a source a line, found a translation by beam search, or source TAB target.

    Models without tapes, such as fairseq's ``lstm``, show their attention to the source.
    """

    def __init__(self, trained: Trained, beam: int) -> None:
        self.trained, self.model = trained, trained.model
        self.source_dictionary: Dictionary = trained.task.source_dictionary
        self.target_dictionary: Dictionary = trained.task.target_dictionary
        self.lines = LineReader(trained.normalisation)
        self.search = SequenceGenerator([self.model], self.target_dictionary, beam_size=beam)

    def encode(self, line: bytes) -> Pair:
        """The ``Pair`` of a line (bytes). Raises BadLine."""
        source, *targets = self.lines.fields(line)
        if len(targets) > 1:
            raise BadLine(f"{1 + len(targets)} sentences separated by TAB, but at most 2 are read")
        found = [self.lines.sentence(source, self.source_dictionary)]
        found += [self.lines.sentence(target, self.target_dictionary) for target in targets]
        for sentence, most in zip(found, self.model.max_positions()):
            check_length(len(sentence.tokens), most)
        return Pair(found[0], found[1] if targets else None)

    @staticmethod
    def size(pair: Pair) -> int:
        return len(pair.source.tokens)

    @torch.no_grad()
    def read(self, pairs: list[Pair]) -> Iterator[Reading]:
        """A ``Reading`` for each ``Pair``; the longest source comes first."""
        translations = self.with_targets(pairs)
        sources = [pair.source for pair in translations]
        targets = [pair.target for pair in translations]
        lengths = [[len(sentence.tokens) for sentence in side] for side in (sources, targets)]
        batch = self.source_batch(sources)
        target = self.collate(self.target_dictionary, targets)
        inputs = target.roll(1, dims=1)
        inputs[:, 0] = self.target_dictionary.eos()
        with recorded(self.model) as calls:
            scores = self.model(**batch, prev_output_tokens=inputs)
        surprisals = bits(self.model, scores, target)
        maps = self.maps(calls, scores, *lengths)
        for pair, row, *found in zip(translations, surprisals, *maps):
            yield self.reading(pair, row[: len(pair.target.tokens)], found)

    def with_targets(self, pairs: Sequence[Pair]) -> list[Translation]:
        """The pairs, those without a target given the best of a beam search."""
        missing = [pair.source for pair in pairs if pair.target is None]
        found = iter(self.translations(missing) if missing else ())
        return [Translation(pair.source, pair.target or next(found)) for pair in pairs]

    def translations(self, sources: list[Sentence]) -> Iterator[Sentence]:
        """A ``Sentence`` of the target for each source."""
        hypotheses = self.search.generate([self.model], {"net_input": self.source_batch(sources)})
        for best, *_ in hypotheses:
            tokens = best["tokens"].cpu()
            yield Sentence([self.target_dictionary[token] for token in tokens[:-1]], tokens)

    def source_batch(self, sources: list[Sentence]) -> dict[str, Tensor]:
        lengths = torch.tensor([len(source.tokens) for source in sources])
        tokens = self.collate(self.source_dictionary, sources)
        return {"src_tokens": tokens, "src_lengths": lengths.to(self.trained.device)}

    def collate(self, dictionary: Dictionary, sentences: list[Sentence]) -> Tensor:
        """Right-padded tokens (B, n) of sentences."""
        tokens = [sentence.tokens for sentence in sentences]
        collated: Tensor = data_utils.collate_tokens(tokens, dictionary.pad())
        return collated.to(self.trained.device)

    def maps(
        self, calls: Calls, scores: Output, source_lengths: list[int], target_lengths: list[int]
    ) -> Iterator[Iterator[Map]]:
        """Encoder, decoder and fusion, each from the first layer on, a direction at a time."""
        across_lengths = target_lengths, source_lengths
        if not isinstance(self.model, LSTMNModel):
            weights, layer = self.attention(scores), len(self.model.decoder.layers)
            yield across(weights, *across_lengths, layer, "target", "source")
            return
        encoder, decoder = self.model.encoder, self.model.decoder.stack.layers
        for backward, layers in enumerate((encoder.forwards, encoder.backwards)):
            for k, layer in enumerate(layers, start=1):
                names = "encoder", k, "source"
                found = calls[layer][0].tape
                yield within(found, source_lengths, *names, bool(backward), layer.is_lstm)
        for k, layer in enumerate(decoder, start=1):
            names = "decoder", k, "decoder"
            yield within(calls[layer][0].tape, target_lengths, *names, is_lstm=layer.is_lstm)
        for k, layer in enumerate(decoder, start=1):
            source = calls[layer][0].source
            if source is not None:
                yield across(source, *across_lengths, k, "target", "source")

    def attention(self, scores: Output) -> Tensor:
        """The attention (B, T, S) that a model of fairseq's returns. Raises InputError for none."""
        extra = scores[1]
        if isinstance(extra, dict):
            extra = (extra.get("attn") or [None])[0]
        if extra is None:
            name = type(self.model).__name__
            raise InputError(f"{self.trained.path}: its model ({name}) has no attention to show")
        found: Tensor = extra
        return found

    def reading(self, pair: Translation, surprisals: list[float], maps: list[Map]) -> Reading:
        """The ``Reading`` of a pair that has its target, of its target's surprisals and its maps.

        The decoder has read the target but its end when it has written all of it: attention
        to the source stands at what is written, attention to the tape at what is read.
        """
        source, target = pair
        end = self.target_dictionary[self.target_dictionary.eos()]
        texts = {
            "source": [*source.words, self.source_dictionary[self.source_dictionary.eos()]],
            "decoder": [BEFORE, end, *target.words],
            "target": [*target.words, end],
        }
        strange = {
            "source": unknown(self.source_dictionary, source.tokens),
            "decoder": unknown(self.target_dictionary, target.tokens, shift=2),
            "target": unknown(self.target_dictionary, target.tokens),
        }
        bits: dict[str, list[float | None]] = {
            "decoder": [None, None, *surprisals[:-1]],
            "target": [*surprisals],
        }
        if not isinstance(self.model, LSTMNModel):
            for parts in (texts, strange, bits):
                del parts["decoder"]
        fusion = [found for found in maps if found.direction == ACROSS]
        aligned = fusion[-1].weights.argmax(axis=1).tolist() if fusion else []
        return Reading(texts, maps, strange, bits, alignment=aligned)
