"""Print the plugin directory, what fairseq's --user-dir takes."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

import fairseq_lstmn


def add_arguments(parser: ArgumentParser) -> None:
    """There are none."""


def run(args: Namespace) -> int:
    print(Path(fairseq_lstmn.__file__).parent)
    return 0
