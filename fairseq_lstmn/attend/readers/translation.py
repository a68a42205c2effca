"""Encoder-decoders: attention within source and target, and from the target to the source.

B batch, T target steps, S source length.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from fairseq.data import Dictionary, data_utils
from fairseq.models import FairseqEncoderDecoderModel
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor

from fairseq_lstmn.attend.readers.base import (
    Output,
    Reader,
    check_length,
    reads,
    surprisals,
    unknown,
)
from fairseq_lstmn.attend.reading import ACROSS, Map, Reading
from fairseq_lstmn.attend.recording import Calls, maps_across, maps_within, recorded
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.inference.checkpoint import TrainedModel
from fairseq_lstmn.inference.lines import BadLine, Sentence
from fairseq_lstmn.models.lstmn import LSTMNModel

BEFORE = "(source)"  # the decoder's first slot: where the encoder ended


class Pair(NamedTuple):
    """A source and its translation; None for one that the line leaves to the model."""

    source: Sentence
    target: Sentence | None


@reads(FairseqEncoderDecoderModel)
class TranslationReader(Reader[Pair]):
    """Reads source TAB target, or a source a line, which a beam search translates.

    Shows the attention to the source that a model such as fairseq's ``lstm`` returns.
    """

    def __init__(self, trained: TrainedModel, beam: int) -> None:
        super().__init__(trained, beam)
        self.target_dictionary: Dictionary = trained.task.target_dictionary
        self.search = SequenceGenerator([self.model], self.target_dictionary, beam_size=beam)

    def encode(self, line: bytes) -> Pair:
        texts = self.lines.fields(line)
        if len(texts) > 2:
            raise BadLine(f"{len(texts)} sentences separated by TAB, but at most 2 are read")
        dictionaries = self.dictionary, self.target_dictionary
        source, *target = map(self.lines.sentence, texts, dictionaries)
        for sentence, most in zip((source, *target), self.model.max_positions()):
            check_length(len(sentence.tokens), most)
        return Pair(source, target[0] if target else None)

    def size(self, row: Pair) -> int:
        return len(row.source.tokens)

    @torch.no_grad()
    def read(self, rows: list[Pair]) -> Iterator[Reading]:
        """The longest source comes first."""
        sources, targets = [pair.source for pair in rows], self.targets(rows)
        batch = self.source_batch(sources)
        target = self.collate(self.target_dictionary, targets)
        shifted = self.collate(self.target_dictionary, targets, move_eos_to_beginning=True)
        with recorded(self.model) as calls:
            output = self.model(**batch, prev_output_tokens=shifted)
        bits = surprisals(self.model, output, target)
        lengths = [[len(sentence.tokens) for sentence in side] for side in (sources, targets)]
        maps = self.maps(calls, output, *lengths)
        for source, sentence, row, *of_row in zip(sources, targets, bits, *maps):
            yield self.reading(source, sentence, row[: len(sentence.tokens)], of_row)

    def targets(self, pairs: list[Pair]) -> list[Sentence]:
        """The targets of ``pairs``, the best of a beam search for those without."""
        missing = [pair.source for pair in pairs if pair.target is None]
        searched = iter(self.translate(missing) if missing else ())
        return [pair.target or next(searched) for pair in pairs]

    def translate(self, sources: list[Sentence]) -> Iterator[Sentence]:
        """A ``Sentence`` of the target for each source."""
        hypotheses = self.search.generate([self.model], {"net_input": self.source_batch(sources)})
        for best, *_ in hypotheses:
            tokens = best["tokens"].cpu()
            yield Sentence([self.target_dictionary[token] for token in tokens[:-1]], tokens)

    def source_batch(self, sources: list[Sentence]) -> dict[str, Tensor]:
        lengths = torch.tensor([len(source.tokens) for source in sources])
        tokens = self.collate(self.dictionary, sources)
        return {"src_tokens": tokens, "src_lengths": lengths.to(self.trained.device)}

    def collate(
        self, dictionary: Dictionary, sentences: list[Sentence], move_eos_to_beginning: bool = False
    ) -> Tensor:
        """Right-padded tokens (B, n) of sentences."""
        collated: Tensor = data_utils.collate_tokens(
            [sentence.tokens for sentence in sentences],
            dictionary.pad(),
            dictionary.eos(),
            move_eos_to_beginning=move_eos_to_beginning,
        )
        return collated.to(self.trained.device)

    def maps(
        self, calls: Calls, output: Output, source_lengths: list[int], target_lengths: list[int]
    ) -> Iterator[list[Map]]:
        """For every layer its rows' ``Map``s. Raises InputError for a model without attention."""
        weights = output[1]
        if isinstance(weights, dict):
            weights = (weights.get("attn") or [None])[0]
        if weights is None:
            name = type(self.model).__name__
            raise InputError(f"{self.trained.path}: its model ({name}) has no attention to show")
        layers = [*[None] * (len(self.model.decoder.layers) - 1), weights]
        yield from maps_across(layers, target_lengths, source_lengths, "target", "source")

    def reading(
        self, source: Sentence, target: Sentence, bits: list[float], maps: list[Map]
    ) -> Reading:
        """The ``Reading`` of a pair, of its target's surprisals and its maps."""
        fusion = [attention for attention in maps if attention.direction == ACROSS]
        return Reading(
            {
                "source": [*source.words, self.dictionary[self.dictionary.eos()]],
                "target": [*target.words, self.target_dictionary[self.target_dictionary.eos()]],
            },
            maps,
            {
                "source": unknown(self.dictionary, source.tokens),
                "target": unknown(self.target_dictionary, target.tokens),
            },
            {"target": [*bits]},
            alignment=fusion[-1].weights.argmax(axis=1).tolist() if fusion else [],
        )


@reads(LSTMNModel)
class LSTMNTranslationReader(TranslationReader):
    """Shows the tapes as well, the decoder's over what it has read.

    The decoder has read the target but its end when it has written all of it: attention to the
    source stands at what is written, attention to the tape at what is read.
    """

    def maps(
        self, calls: Calls, output: Output, source_lengths: list[int], target_lengths: list[int]
    ) -> Iterator[list[Map]]:
        """Encoder, decoder and fusion, each from the first layer on, a direction at a time."""
        encoder, decoder = self.model.encoder, self.model.decoder.stack.layers
        for backward, layers in enumerate((encoder.forwards, encoder.backwards)):
            attention = [calls[layer][0] for layer in layers]
            named = "encoder", "source", bool(backward)
            yield from maps_within(layers, attention, source_lengths, *named)
        attention = [calls[layer][0] for layer in decoder]
        yield from maps_within(decoder, attention, target_lengths, "decoder", "decoder")
        sources = [attended.source for attended in attention]
        yield from maps_across(sources, target_lengths, source_lengths, "target", "source")

    def reading(
        self, source: Sentence, target: Sentence, bits: list[float], maps: list[Map]
    ) -> Reading:
        reading = super().reading(source, target, bits, maps)
        *words, end = reading.texts["target"]
        unknown_tokens = unknown(self.target_dictionary, target.tokens, shift=2)
        return reading._replace(
            texts={**reading.texts, "decoder": [BEFORE, end, *words]},
            unknown={**reading.unknown, "decoder": unknown_tokens},
            surprisals={"decoder": [None, None, *bits[:-1]], **reading.surprisals},
        )
