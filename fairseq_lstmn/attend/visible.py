"""Tokens as a picture can show them: what would be drawn as nothing is named by its code."""

import unicodedata
from collections.abc import Iterable, Mapping

# control and format characters, and separators
_INVISIBLE = {"Cc", "Cf", "Zl", "Zp", "Zs"}
# what does its work among others, so that it is named only where it stands alone: a label's space,
# the joiners of many scripts, the selectors and tags of emoji
_AMONG_OTHERS = "".join(
    map(chr, (0x20, 0x200C, 0x200D, *range(0xFE00, 0xFE10), *range(0xE0020, 0xE0080)))
)
# letters and a mark without a shape of their own
_BLANK = "\u034f\u115f\u1160\u2800\u3164\uffa0"


def visible_texts(texts: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Tokens by the name of their text, each as ``visible`` has it."""
    return {name: [visible(token) for token in tokens] for name, tokens in texts.items()}


def visible(token: str) -> str:
    """``token`` with U+ and the code in place of each character that has no shape."""
    alone = not token.strip(_AMONG_OTHERS)
    return "".join(
        f"U+{ord(character):04X}" if _has_no_shape(character, alone) else character
        for character in token
    )


def _has_no_shape(character: str, alone: bool) -> bool:
    if character in _AMONG_OTHERS:
        return alone
    return character in _BLANK or unicodedata.category(character) in _INVISIBLE
