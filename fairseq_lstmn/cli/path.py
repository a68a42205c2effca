"""Print the plugin directory, what fairseq's --user-dir takes."""

from pathlib import Path

import fairseq_lstmn


def add_arguments(parser):
    """There are none."""


def run(args):
    print(Path(fairseq_lstmn.__file__).parent)
    return 0
