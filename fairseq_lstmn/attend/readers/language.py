"""Language models: attention over the text so far, and how much each word surprises."""

from collections.abc import Iterator

import torch
from fairseq.data import data_utils

from fairseq_lstmn.attend.readers.base import Reader, check_length, reads, surprisals, unknown
from fairseq_lstmn.attend.reading import Reading
from fairseq_lstmn.attend.recording import maps_within, recorded
from fairseq_lstmn.inference.lines import BadLine, Sentence
from fairseq_lstmn.models.lstmn_lm import LSTMNLanguageModel


@reads(LSTMNLanguageModel)
class LanguageReader(Reader[Sentence]):
    """Reads sentences behind an end of sentence, as in training by sentences."""

    def encode(self, line: bytes) -> Sentence:
        texts = self.lines.fields(line)
        if len(texts) != 1:
            raise BadLine(f"{len(texts)} sentences separated by TAB, but the model reads 1")
        sentence = self.lines.sentence(texts[0], self.dictionary)
        check_length(len(sentence.tokens), self.model.max_positions())
        return sentence

    def size(self, row: Sentence) -> int:
        return len(row.tokens)

    @torch.no_grad()
    def read(self, rows: list[Sentence]) -> Iterator[Reading]:
        """The end of a sentence, then its words; the end's own surprisal has no place."""
        lengths = [len(sentence.tokens) for sentence in rows]
        with recorded(self.model) as calls:
            bits = self.surprisals(rows, lengths)
        layers = self.model.decoder.stack.layers
        attention = (calls[layer][0] for layer in layers)
        maps = maps_within(layers, attention, lengths, "text", "text")
        end = self.dictionary[self.dictionary.eos()]
        for sentence, row, *of_row in zip(rows, bits, *maps):
            yield Reading(
                {"text": [end, *sentence.words]},
                of_row,
                {"text": unknown(self.dictionary, sentence.tokens, shift=1)},
                {"text": [None, *row[: len(sentence.words)]]},
            )

    def surprisals(self, rows: list[Sentence], lengths: list[int]) -> list[list[float]]:
        """The surprisal in bits of every token of ``rows``, lists as long as the longest."""
        tokens = [sentence.tokens for sentence in rows]
        pad, eos = self.dictionary.pad(), self.dictionary.eos()
        shifted = data_utils.collate_tokens(tokens, pad, eos, move_eos_to_beginning=True)
        batch = self.trained.to_device(
            {"src_tokens": shifted, "src_lengths": torch.tensor(lengths)}
        )
        target = data_utils.collate_tokens(tokens, pad).to(self.trained.device)
        outputs = len(self.task.target_dictionary)
        target.masked_fill_(target >= outputs, self.dictionary.unk())  # as fairseq does
        return surprisals(self.model, self.model(**batch), target)
