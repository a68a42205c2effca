"""The one place that knows what fairseq needs on today's Python, torch and numpy."""


def apply():
    """Mend fairseq; does nothing where nothing is needed."""
