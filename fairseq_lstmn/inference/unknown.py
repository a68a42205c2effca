"""Words of new text that a model does not know, where nobody recorded how its text looked."""

from collections.abc import Container, Sequence

MOST = 0.1  # share of unknown words, before there is something to say


class UnknownWords:
    """Counts words, those unknown, and those that would be in lower case."""

    def __init__(self) -> None:
        self.words = self.unknown = self.unknown_in_lower_case = 0

    def count(self, words: Sequence[str], dictionary: Container[str]) -> None:
        """Add ``words``, as a ``dictionary`` has them."""
        unknown = [word for word in words if word not in dictionary and word != "<unk>"]
        self.words += len(words)
        self.unknown += len(unknown)
        self.unknown_in_lower_case += sum(word.lower() not in dictionary for word in unknown)

    def warning(self, checkpoint: str) -> str | None:
        """One line, where many words are unknown; else None."""
        if self.unknown <= MOST * self.words:
            return None
        known = self.unknown - self.unknown_in_lower_case
        return (
            f"{checkpoint}: {self.unknown:,} of {self.words:,} words are unknown to it, of which "
            f"{known:,} would be known in lower case; nothing records how its text was normalised"
        )
