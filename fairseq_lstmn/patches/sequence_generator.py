"""``fairseq.sequence_generator``, ``search`` and ``sequence_scorer``: prefixes and alignments.

B batch, K beam, L longest prefix, V vocabulary, S source length, T words of a hypothesis.
"""

import math
from contextlib import ExitStack
from typing import Any, TypeAlias

import torch
from fairseq import utils
from fairseq.models import BaseFairseqModel
from fairseq.search import DiverseBeamSearch, LexicallyConstrainedBeamSearch
from fairseq.sequence_generator import (
    EnsembleModelWithAlignment,
    SequenceGenerator,
    SequenceGeneratorWithAlignment,
)
from fairseq.sequence_scorer import SequenceScorer
from torch import Tensor, nn

from fairseq_lstmn.data import Sample
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.language_decoder import CarriedTapes
from fairseq_lstmn.patches.alignment import NONE_ATTENDS, align, attention_in, average
from fairseq_lstmn.patches.neural_cache import CachedScoring
from fairseq_lstmn.patches.registry import Original, patch, setting

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
    generate: Original,
    generator: SequenceGenerator,
    models: list[BaseFairseqModel],
    sample: Sample,
    **kwargs: Any,
) -> Hypotheses:
    """Attention (S, T) is the mean over the models that have one."""
    hypotheses: Hypotheses = generate(
        generator, models, without_new_words(generator, sample), **kwargs
    )
    if generator.model.models_size > 1:
        for hypothesis in (hypothesis for beam in hypotheses for hypothesis in beam):
            if hypothesis["attention"].numel():
                hypothesis["attention"] = average(hypothesis["attention"], dim=0)
    return hypotheses


def without_new_words(generator: SequenceGenerator, sample: Sample) -> Sample:
    """``sample`` with the unknown word for those that the source's dictionary got after the model.

    ``fairseq_task.keep_new_words`` adds them.
    """
    size = getattr(generator, "source_dictionary_size", None)
    if size is None:
        return sample
    tokens = sample["net_input"]["src_tokens"]
    tokens = tokens.masked_fill(tokens >= size, generator.unk)
    return {**sample, "net_input": {**sample["net_input"], "src_tokens": tokens}}


@patch(SequenceGeneratorWithAlignment, "generate")
def generate_with_alignment(
    generate: Original,
    generator: SequenceGeneratorWithAlignment,
    models: list[BaseFairseqModel],
    sample: Sample,
    **kwargs: Any,
) -> Any:
    """Raise InputError where no model attends to the source.

    Where a model aligns in a second pass over whole hypotheses, fairseq's own is taken.
    """
    if any(getattr(model, "full_context_alignment", False) for model in generator.model.models):
        return generate(generator, models, without_new_words(generator, sample), **kwargs)
    hypotheses: Any = SequenceGenerator.generate(generator, models, sample, **kwargs)
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
    forward: Original,
    ensemble: EnsembleModelWithAlignment,
    src_tokens: Tensor,
    src_lengths: Tensor,
    prev_output_tokens: Tensor,
) -> Tensor:
    """The mean attention (B, T, S) of the models that attend.

    Raises InputError where none does.
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
    generate: Original,
    generator: SequenceGenerator,
    models: list[BaseFairseqModel],
    sample: Sample,
    **kwargs: Any,
) -> Any:
    """``--diverse-beam-groups`` works for more than the first batch.

    fairseq takes the numbers of the sentences in the data for rows of its table of a batch's
    groups, which fails from the second batch on and mixes sentences up before. Without numbers it
    counts the rows itself.
    """
    if isinstance(generator.search, DiverseBeamSearch):
        sample = {key: value for key, value in sample.items() if key != "id"}
    return generate(generator, models, sample, **kwargs)


@patch(LexicallyConstrainedBeamSearch, "init_constraints")
def init_constraints(
    init: Original,
    search: LexicallyConstrainedBeamSearch,
    batch_constraints: Tensor | None,
    beam_size: int,
) -> None:
    """Raise InputError where data come without constraints."""
    if batch_constraints is None:
        raise InputError(
            f"--constraints {search.representation}: these data come without; fairseq-interactive"
            " of a translation model reads them, each behind a tab of its line"
        )
    init(search, batch_constraints, beam_size)


@patch(SequenceScorer, "generate")
def score(
    score: Original,
    scorer: SequenceScorer,
    models: list[BaseFairseqModel],
    sample: Sample,
    **kwargs: Any,
) -> Hypotheses:
    """Attention (T, S) is the mean over the models that have one.

    Raises InputError where an alignment is asked for and no model attends to the source.
    """
    with ExitStack() as hooks:
        for model in models:
            hooks.enter_context(model.register_forward_hook(say_none_plainly))
        hypotheses: Hypotheses = score(scorer, models, sample, **kwargs)
    for row, (hypothesis,) in enumerate(hypotheses):
        attention = hypothesis["attention"]
        if attention is not None and len(models) > 1:
            attention = hypothesis["attention"] = average(attention, dim=1)
        if kind := scorer.compute_alignment:
            extract = (
                utils.extract_soft_alignment if kind == "soft" else utils.extract_hard_alignment
            )
            source, target = sample["net_input"]["src_tokens"][row], sample["target"][row]
            hypothesis["alignment"] = align(
                extract, attention, source, target, scorer.pad, scorer.eos
            )
    return hypotheses


def say_none_plainly(model: nn.Module, inputs: object, output: Any) -> Any:
    """A forward hook: ``{"attn": [None]}`` becomes ``{"attn": None}``, for which fairseq tests."""
    if len(output) > 1 and isinstance(output[1], dict) and attention_in(output) is None:
        return (output[0], {**output[1], "attn": None}, *output[2:])
    return output


@patch(SequenceScorer, "generate")
def score_with_carried_tapes(
    generate: Original,
    scorer: SequenceScorer,
    models: list[BaseFairseqModel],
    sample: Sample,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Raise InputError for a model that carries its tapes where batches do not go on."""
    carrying = filter(None, map(CarriedTapes.of, models))
    if "continues" not in sample["net_input"] and (tapes := next(carrying, None)):
        raise InputError(
            f"--carry-tape {tapes.slots}: is scored with --task contiguous_language_modeling, the"
            " batches of this task do not continue one another; to score each block by itself, add"
            " --model-overrides \"{'carry_tape': 0}\""
        )
    return generate(scorer, models, sample, *args, **kwargs)


@patch(SequenceScorer, "generate")
def score_with_neural_cache(
    generate: Original,
    scorer: SequenceScorer,
    models: list[BaseFairseqModel],
    sample: Sample,
    **kwargs: Any,
) -> Any:
    """``fairseq-eval-lm --neural-cache`` mixes what the cache says into every probability."""
    scoring = CachedScoring.current
    if scoring is None:
        return generate(scorer, models, sample, **kwargs)
    return scoring.score(generate, scorer, sample)
