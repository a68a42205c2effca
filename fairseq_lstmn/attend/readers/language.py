"""Language models: attention over the text so far, and how much each word surprises.

B batch, T steps, V vocabulary.
"""

from collections.abc import Iterator
from math import log
from typing import Any, TypeAlias

import torch
from fairseq.data import Dictionary, data_utils
from fairseq.models import BaseFairseqModel
from torch import Tensor

from fairseq_lstmn.attend.readers.sentences import check_length, only_text, unknown
from fairseq_lstmn.attend.reading import Reading
from fairseq_lstmn.attend.recurrence import within
from fairseq_lstmn.inference.checkpoint import Trained
from fairseq_lstmn.inference.lines import LineReader, Sentence
from fairseq_lstmn.modules.recording import recorded

# what a decoder of fairseq's returns: scores (B, T, V) and, alone or in a dict, its attention
Output: TypeAlias = tuple[Tensor, Any]


class LanguageReader:
    """Reads sentences behind an end of sentence, as in training by sentences."""

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        self.dictionary: Dictionary = trained.task.source_dictionary
        self.outputs = len(trained.task.target_dictionary)
        self.lines = LineReader(trained.normalisation)

    def encode(self, line: bytes) -> Sentence:
        """The ``Sentence`` of a line (bytes). Raises BadLine."""
        sentence = self.lines.sentence(only_text(self.lines.fields(line)), self.dictionary)
        check_length(len(sentence.tokens), self.trained.model.max_positions())
        return sentence

    @staticmethod
    def size(sentence: Sentence) -> int:
        return len(sentence.tokens)

    @torch.no_grad()
    def read(self, sentences: list[Sentence]) -> Iterator[Reading]:
        """A ``Reading`` for each ``Sentence``: the end before it, then its words."""
        lengths = [len(sentence.tokens) for sentence in sentences]
        with recorded(self.trained.model) as calls:
            bits = self.surprisals([sentence.tokens for sentence in sentences], lengths)
        layers = self.trained.model.decoder.stack.layers
        maps = [
            within(calls[layer][0].tape, lengths, "text", k, "text", is_lstm=layer.is_lstm)
            for k, layer in enumerate(layers, start=1)
        ]
        for sentence, row, *found in zip(sentences, bits, *maps):
            # the end's own surprisal comes last, where no word stands any more
            surprisals = {"text": [None, *row[: len(sentence.words)]]}
            words = {"text": [self.dictionary[self.dictionary.eos()], *sentence.words]}
            strange = {"text": unknown(self.dictionary, sentence.tokens, shift=1)}
            yield Reading(words, found, strange, surprisals)

    def surprisals(self, rows: list[Tensor], lengths: list[int]) -> list[list[float]]:
        """The surprisal in bits of every token of ``rows``, lists as long as the longest."""
        pad, eos = self.dictionary.pad(), self.dictionary.eos()
        target = data_utils.collate_tokens(rows, pad)
        inputs = target.roll(1, dims=1)
        inputs[:, 0] = eos
        batch = self.trained.to_device(
            {"src_tokens": inputs, "src_lengths": torch.tensor(lengths), "target": target}
        )
        target = batch.pop("target")
        target.masked_fill_(target >= self.outputs, self.dictionary.unk())  # as fairseq does
        scores = self.trained.model(**batch)
        return bits(self.trained.model, scores, target)


def bits(model: BaseFairseqModel, scores: Output, target: Tensor) -> list[list[float]]:
    """The surprisal -log2 p of target (B, T), as lists, from a model's output."""
    logarithms = model.get_normalized_probs(scores, log_probs=True, sample={"target": target})
    chosen = logarithms.gather(2, target.unsqueeze(2)).squeeze(2)
    found: list[list[float]] = (chosen.float() / -log(2)).tolist()
    return found
