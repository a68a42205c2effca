"""What outputs that draw say about the lines that they do not draw."""


def left_out(read: int, limit: int) -> str | None:
    """One line, of the number of lines that were read; None where all are drawn."""
    if read <= limit:
        return None
    return f"The first {limit:,} of {read:,} lines are drawn (--limit {limit})"
