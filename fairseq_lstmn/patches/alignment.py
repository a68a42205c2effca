"""``fairseq.utils``, which replaces unknown words by those of the source that they are aligned to.

And the alignments themselves, by the attention of a hypothesis's models.

S source length, T words of a hypothesis with the end of the sentence.
"""

import copy
from collections.abc import Sequence
from typing import Any, TypeAlias

from fairseq import utils
from fairseq.data import Dictionary, data_utils
from fairseq.tokenizer import tokenize_line
from torch import Tensor

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.registry import Original, patch

# fairseq's: (source word, target word), or for each target token its weights as text
Alignment: TypeAlias = Sequence[tuple[int, int] | list[str]]

NO_FILE = "@@ "  # what fairseq takes for the file of --replace-unk where none is named
NONE_ATTENDS = (
    "--print-alignment, --replace-unk: need attention to the source, which no model of --path has"
)


def with_alignment(generation: Any) -> Any:
    """Settings of generation; where unknown words are replaced, with alignments."""
    if generation is None or getattr(generation, "replace_unk", None) is None:
        return generation
    if getattr(generation, "print_alignment", None):
        return generation
    generation = copy.deepcopy(generation)
    generation.print_alignment = "hard"
    return generation


def average(attention: Tensor, dim: int) -> Tensor:
    """The mean over the models that attend of what fairseq divides by the number of all models.

    Args:
        attention: weights over the source along ``dim``, of each such model a distribution.
    """
    return attention / attention.sum(dim, keepdim=True)


def attention_in(decoder_out: Any) -> Tensor | None:
    """The attention (B, T, S) in what one of fairseq's decoders returns, None without one."""
    extra = decoder_out[1] if len(decoder_out) > 1 else None
    if isinstance(extra, dict):
        extra = extra.get("attn")
    attention: Tensor | None = extra[0] if isinstance(extra, list) else extra
    return attention


def align(
    extract: Original,
    attention: Tensor | None,
    source: Tensor,
    target: Tensor,
    pad: int,
    eos: int,
) -> Alignment:
    """The alignment of a hypothesis by ``extract``, one of fairseq's two functions.

    Args:
        attention (T, S): None or empty where no model attends to the source.
        source (S), target (T): tokens, padded or not.

    Raises:
        InputError: no model attends to the source.
    """
    if attention is None or attention.numel() == 0:
        raise InputError(NONE_ATTENDS)
    alignment: Alignment = extract(attention.cpu(), source.cpu(), target.cpu(), pad, eos)
    return alignment


def source_words(alignment: Alignment) -> dict[int, int]:
    """The source word of each target word, by their places without the ends of the sentences."""
    words = {}
    for place, entry in enumerate(alignment):
        if isinstance(entry, tuple):
            words[entry[1]] = entry[0]
        elif weights := [float(weight) for weight in entry[:-1]]:  # the last is the source's end
            words[place] = weights.index(max(weights))
    return words


@patch(utils, "load_align_dict")
def load_align_dict(load: Original, replace_unk: str | None) -> Any:
    """Raise InputError for a file of ``--replace-unk`` that cannot be read."""
    if replace_unk == NO_FILE:
        return load("")
    try:
        return load(replace_unk)
    except (OSError, UnicodeError) as error:
        raise InputError(f"--replace-unk {replace_unk}: cannot be read ({error})") from error
    except IndexError as error:
        with open(str(replace_unk)) as lines:
            bad = next(number for number, line in enumerate(lines, 1) if len(line.split()) < 2)
        raise InputError(
            f"--replace-unk {replace_unk}: line {bad} is not a source word and its translation"
        ) from error


@patch(utils, "post_process_prediction")
def post_process_prediction(
    post_process: Original,
    hypo_tokens: Tensor,
    src_str: str,
    alignment: Alignment | Tensor | None,
    align_dict: dict[str, str] | None,
    tgt_dict: Dictionary,
    remove_bpe: str | None = None,
    extra_symbols_to_ignore: Any = None,
) -> Any:  # hypo_tokens, its text, alignment
    """Replace words by ``align_dict`` where there is one.

    Words are replaced before pieces are joined, since the alignment counts pieces.
    """
    if align_dict is None:
        return post_process(
            hypo_tokens, src_str, alignment, None, tgt_dict, remove_bpe, extra_symbols_to_ignore
        )
    if alignment is None or isinstance(alignment, Tensor):  # fairseq's for none: an empty one
        raise InputError("--replace-unk: the generator of this task aligns no words")
    text = tgt_dict.string(hypo_tokens, extra_symbols_to_ignore=extra_symbols_to_ignore)
    words = replace_unknown(
        tokenize_line(text), tokenize_line(src_str), alignment, align_dict, tgt_dict.unk_string()
    )
    text = data_utils.post_process(" ".join(words), remove_bpe)  # type: ignore[arg-type]
    return tgt_dict.encode_line(text, add_if_not_exist=True), text, alignment


def replace_unknown(
    words: Sequence[str],
    source: Sequence[str],
    alignment: Alignment,
    translations: dict[str, str],
    unknown: str,
) -> list[str]:
    """``words`` with the source word of each ``unknown`` one, or its translation, in its place."""
    aligned = source_words(alignment)
    replaced = list(words)
    for place, word in enumerate(words):
        if word == unknown and place in aligned:
            copied = source[aligned[place]]
            replaced[place] = translations.get(copied, copied)
    return replaced
