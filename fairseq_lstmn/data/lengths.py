"""How long an example may be: the limits that fairseq calls positions, and what sets them."""

import sys
from collections.abc import Iterator
from typing import Any

from fairseq.data import FairseqDataset
from fairseq.tasks.fairseq_task import FairseqTask

UNLIMITED = sys.maxsize  # positions of a model or task that has no longest text

# of tasks: what an example is held against, and what a language model's text is cut into
OPTIONS = "max_positions", "max_source_positions", "max_target_positions", "tokens_per_sample"


def see_options(task: FairseqTask) -> str:
    """The options that set the lengths of a task, with their values: ``; see --OPTION VALUE``."""
    settings: Any = getattr(task, "args", None) or task.cfg  # a language model's are in the former
    options = ", ".join(limits(settings))
    return f"; see {options}" if options else ""


def limits(settings: object) -> Iterator[str]:
    """``--OPTION VALUE`` of every limit that is set."""
    for name in OPTIONS:
        value = getattr(settings, name, None)
        if value not in (None, UNLIMITED):
            yield f"--{name.replace('_', '-')} {value}"


def part_of(task: FairseqTask, dataset: FairseqDataset) -> str:
    """The name of the part of the data that a task has loaded as ``dataset``."""
    names = (name for name, loaded in task.datasets.items() if loaded is dataset)
    return next(names, "the data")
