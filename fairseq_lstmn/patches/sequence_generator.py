"""fairseq's beam search: prefixes of unequal length, and alignments.

B batch, K beam, L longest prefix, V vocabulary, S source length, T words of a hypothesis.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import torch
from fairseq.models import BaseFairseqModel
from fairseq.search import DiverseBeamSearch
from fairseq.sequence_generator import (
    EnsembleModelWithAlignment,
    SequenceGenerator,
    SequenceGeneratorWithAlignment,
)
from torch import Tensor

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.alignment import NONE_ATTENDS, align, attention_in, average
from fairseq_lstmn.patches.registry import patch, setting

Result = TypeVar("Result")
Sample: TypeAlias = dict[str, Any]
Hypotheses: TypeAlias = list[list[dict[str, Any]]]  # of each sentence, the best first


def _prefix_tokens(
    self: Any,
    step: int,
    lprobs: Tensor,
    scores: Tensor,
    tokens: Tensor,
    prefix_tokens: Tensor,
    beam_size: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The generator's ``_prefix_tokens``; a row behind its prefix is free as if it were alone.

    fairseq forbids words (the end before ``--min-len``, suppressed ones) only from the step on
    at which no row has prefix left. TorchScript compiles this.

    Args:
        lprobs (B * K, V): log-probabilities of the next tokens, changed in place.
        prefix_tokens (B, L): padded at the end.
    """
    # what a model reads and cannot write (--output-dictionary-size) is the unknown word to it
    prefix_tokens = prefix_tokens.masked_fill(prefix_tokens >= lprobs.size(1), self.unk)
    behind = prefix_tokens[:, step].eq(self.pad).unsqueeze(1).repeat(1, beam_size).view(-1)
    if step < self.min_len:
        lprobs[behind, self.eos] = -math.inf
    suppressed = self.token_indices_to_suppress
    if suppressed is not None:
        lprobs[behind] = lprobs[behind].index_fill(1, suppressed.to(lprobs.device), -math.inf)
    forced: tuple[Tensor, Tensor, Tensor] = self._force_prefix_tokens(
        step, lprobs, scores, tokens, prefix_tokens, beam_size
    )
    return forced


@setting
def patch_prefix_tokens() -> None:
    """Put ``_prefix_tokens`` in place so that TorchScript, which goes by names, can follow it."""
    patched: Any = SequenceGenerator
    if patched._prefix_tokens is not _prefix_tokens:
        patched._force_prefix_tokens = patched._prefix_tokens
        patched._force_prefix_tokens.__name__ = "_force_prefix_tokens"
        patched._prefix_tokens = _prefix_tokens


@patch(SequenceGenerator, "generate")
def generate(
    generate: Callable[..., Hypotheses],
    generator: SequenceGenerator,
    models: list[BaseFairseqModel],
    sample: Sample,
    **kwargs: object,
) -> Hypotheses:
    """The generator's method; attention (S, T) is the mean over the models that have one."""
    hypotheses = generate(generator, models, without_new_words(generator, sample), **kwargs)
    if generator.model.models_size > 1:
        for hypothesis in (hypothesis for beam in hypotheses for hypothesis in beam):
            if hypothesis["attention"].numel():
                hypothesis["attention"] = average(hypothesis["attention"], dim=0)
    return hypotheses


def without_new_words(generator: SequenceGenerator, sample: Sample) -> Sample:
    """``sample`` with the unknown word for those that the source's dictionary got after the model.

    ``fairseq_task.get_interactive_tokens_and_lengths`` adds them.
    """
    size = getattr(generator, "source_dictionary_size", None)
    if size is None:
        return sample
    tokens = sample["net_input"]["src_tokens"]
    tokens = tokens.masked_fill(tokens >= size, generator.unk)
    return {**sample, "net_input": {**sample["net_input"], "src_tokens": tokens}}


@patch(SequenceGeneratorWithAlignment, "generate")
def generate_with_alignment(
    generate: Callable[..., Hypotheses],
    generator: SequenceGeneratorWithAlignment,
    models: list[BaseFairseqModel],
    sample: Sample,
    **kwargs: object,
) -> Hypotheses:
    """The generator's method; raises InputError where no model attends to the source.

    Where a model aligns in a second pass over whole hypotheses, fairseq's own is taken.
    """
    if any(getattr(model, "full_context_alignment", False) for model in generator.model.models):
        return generate(generator, models, without_new_words(generator, sample), **kwargs)
    search: Callable[..., Hypotheses] = SequenceGenerator.generate
    hypotheses = search(generator, models, sample, **kwargs)
    for source, beam in zip(sample["net_input"]["src_tokens"], hypotheses):
        for hypothesis in beam:
            hypothesis["alignment"] = align(
                generator.extract_alignment,
                hypothesis["attention"].t(),
                source,
                hypothesis["tokens"],
                generator.pad,
                generator.eos,
            )
    return hypotheses


@patch(EnsembleModelWithAlignment, "forward_align")
def forward_align(
    forward: Callable[..., Tensor],
    ensemble: EnsembleModelWithAlignment,
    src_tokens: Tensor,
    src_lengths: Tensor,
    prev_output_tokens: Tensor,
) -> Tensor:
    """The ensemble's method: the mean attention (B, T, S) of the models that attend.

    Raises:
        InputError: none does.
    """
    inputs = src_tokens, src_lengths, prev_output_tokens
    each = [attention_in(model(*inputs)) for model in ensemble.models]
    attending = [attention for attention in each if attention is not None]
    if not attending:
        raise InputError(NONE_ATTENDS)
    return torch.stack(attending).mean(0)


@patch(SequenceGenerator, "generate")
@patch(SequenceGeneratorWithAlignment, "generate")
def generate_without_numbers(
    generate: Callable[..., Result],
    generator: SequenceGenerator,
    models: list[BaseFairseqModel],
    sample: dict[str, Any],
    **kwargs: object,
) -> Result:
    """``--diverse-beam-groups`` works for more than the first batch.

    Every fairseq takes the numbers of the sentences in the data for rows of its table of a
    batch's groups, which fails from the second batch on and mixes sentences up before. Without
    numbers it counts the rows itself.
    """
    if isinstance(generator.search, DiverseBeamSearch):
        sample = {key: value for key, value in sample.items() if key != "id"}
    return generate(generator, models, sample, **kwargs)
