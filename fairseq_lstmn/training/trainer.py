"""fairseq's ``Trainer``, which says no types itself, as far as it is used."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from fairseq.dataclass.configs import FairseqConfig
from fairseq.tasks.fairseq_task import FairseqTask
from torch import nn


class Trainer(Protocol):
    """A training under way in one process of several."""

    cfg: FairseqConfig
    task: FairseqTask
    model: nn.Module  # perhaps wrapped in what distributes it
    device: torch.device
    checkpoint_suffix: str
    data_parallel_world_size: int
    data_parallel_rank: int
    data_parallel_process_group: Any  # torch's, or an object of fairseq's own
    # noted there by ``carried`` and ``finite``, from one function to another
    gathered_tapes: Sequence[object]
    validated_subset: str

    def get_model(self) -> Any:
        """The model by itself, of any class."""

    def get_num_updates(self) -> int:
        """How many there were."""


def is_of_this_package(model: nn.Module) -> bool:
    """Whether ``model``, or one that it wraps or is made of, is defined in this package."""
    package = __name__.partition(".")[0] + "."
    return any(type(module).__module__.startswith(package) for module in model.modules())
