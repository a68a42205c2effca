"""``fairseq.distributed.utils``: several processes, also without a GPU."""

import logging
import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from fairseq.dataclass.configs import DistributedTrainingConfig, FairseqConfig
from fairseq.distributed import utils as distributed_utils
from omegaconf import OmegaConf
from torch.distributed import ProcessGroup

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.registry import patch

Rest = ParamSpec("Rest")
Result = TypeVar("Result")

TORCHRUN = "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK"
# what only parsers of commands that read a checkpoint alone have
READS_ALONE = {
    "buffer_size": "fairseq-interactive",
    "nbest": "fairseq-generate",
    "output_word_probs": "fairseq-eval-lm",
}


def world_size_of_torchrun() -> int | None:
    """How many processes torchrun has started; None if it did not start this one."""
    return int(os.environ["WORLD_SIZE"]) if all(map(os.environ.get, TORCHRUN)) else None


@patch(distributed_utils, "infer_init_method")
def take_world_size_of_torchrun(
    infer: Callable[Concatenate[DistributedTrainingConfig, Rest], None],
    cfg: DistributedTrainingConfig,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> None:
    """``infer_init_method``, which takes the world size from the GPUs of its own node."""
    world_size = world_size_of_torchrun()
    if cfg.distributed_init_method is None and world_size is not None:
        cfg.distributed_world_size = world_size
    return infer(cfg, *args, **kwargs)


@patch(distributed_utils, "_infer_torch_distributed_launch_init")
def take_rank_of_torchrun(
    infer: Callable[[DistributedTrainingConfig], None], cfg: DistributedTrainingConfig
) -> None:
    """``_infer_torch_distributed_launch_init``, which divides by the number of GPUs."""
    if torch.cuda.device_count():
        return infer(cfg)
    cfg.distributed_init_method = "env://"
    cfg.distributed_rank = int(os.environ["RANK"])
    cfg.device_id = 0  # by default torchrun's local rank, which no GPU has
    cfg.distributed_no_spawn = True


@patch(distributed_utils, "_infer_single_node_init")
def name_torchrun(
    infer: Callable[[DistributedTrainingConfig], None], cfg: DistributedTrainingConfig
) -> None:
    """``_infer_single_node_init``, which starts a process for each GPU and asserts that it can."""
    gpus = torch.cuda.device_count()
    if cfg.distributed_world_size > gpus:
        raise InputError(
            f"--distributed-world-size {cfg.distributed_world_size}: fairseq starts a process for"
            f" each GPU and there are {gpus} here; torchrun starts them anywhere: torchrun"
            f" --standalone --nproc_per_node {cfg.distributed_world_size} -m fairseq_cli.train ..."
        )
    return infer(cfg)


@patch(distributed_utils, "distributed_init")
def quieten_all_but_first(init: Callable[[FairseqConfig], int], cfg: FairseqConfig) -> int:
    """``distributed_init``, whose level of logging fairseq-validate sets back in every process."""
    rank = init(cfg)
    if rank > 0:
        logging.disable(logging.INFO)
    return rank


@patch(distributed_utils, "all_gather_list")
def gather_on_cpu(
    gather: Callable[..., list[Any]],
    data: Any,
    group: ProcessGroup | None = None,
    max_size: int = 16384,
) -> list[Any]:
    """``all_gather_list``, which puts everything on a GPU."""
    if torch.cuda.is_available():
        return gather(data, group=group, max_size=max_size)
    group = distributed_utils.get_global_group() if group is None else group
    gathered: list[Any] = [None] * distributed_utils.get_world_size(group=group)
    torch.distributed.all_gather_object(gathered, data, group=group)
    return gathered


def refuse_several_readers(parsed: Namespace) -> None:
    """Raise InputError where torchrun starts several processes of a command that works alone.

    fairseq-eval-lm would score a part in each and never add them up, fairseq-generate and
    fairseq-interactive would all translate everything.
    """
    processes = world_size_of_torchrun() or 1
    command = next((name for option, name in READS_ALONE.items() if hasattr(parsed, option)), None)
    if processes > 1 and command is not None:
        raise InputError(
            f"{command} works in one process, and torchrun has started {processes}: start it"
            " without torchrun (--num-shards N --shard-id K take a part of the data)"
        )


@patch(distributed_utils, "broadcast_object")
def broadcast_plain_settings(
    broadcast: Callable[Concatenate[object, Rest], Result],
    obj: object,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """A training in several processes can be resumed.

    One process reads the checkpoint and sends it to the others, with its settings as an OmegaConf
    object, which torch does not unpickle. They are sent as a dictionary.
    """
    if isinstance(obj, dict) and OmegaConf.is_config(obj.get("cfg")):
        obj = {**obj, "cfg": OmegaConf.to_container(obj["cfg"])}
    return broadcast(obj, *args, **kwargs)
