"""fairseq's replacement of unknown words."""

from collections.abc import Callable, Sequence
from typing import Any

from fairseq import utils
from fairseq.data import Dictionary, data_utils
from fairseq.tokenizer import tokenize_line
from torch import Tensor

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.alignment import Alignment, source_words
from fairseq_lstmn.patches.registry import patch

NO_FILE = "@@ "  # what fairseq takes for the file of --replace-unk where none is named


@patch(utils, "load_align_dict")
def load_align_dict(
    load: Callable[[str | None], dict[str, str] | None], replace_unk: str | None
) -> dict[str, str] | None:
    """fairseq's function of that name; raises InputError for a file that cannot be read."""
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
    post_process: Callable[..., tuple[Tensor, str, Alignment | Tensor | None]],
    hypo_tokens: Tensor,
    src_str: str,
    alignment: Alignment | Tensor | None,
    align_dict: dict[str, str] | None,
    tgt_dict: Dictionary,
    remove_bpe: str | None = None,
    extra_symbols_to_ignore: Any = None,
) -> tuple[Tensor, str, Alignment | Tensor | None]:
    """fairseq's function of that name, which replaces words where it is given ``align_dict``.

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
