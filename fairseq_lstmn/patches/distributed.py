"""``fairseq.distributed.utils``: several processes, also without a GPU."""

import logging
import os
from argparse import Namespace
from typing import Any

import torch
from fairseq.dataclass.configs import DistributedTrainingConfig, FairseqConfig
from fairseq.distributed import utils as distributed_utils
from omegaconf import OmegaConf
from torch.distributed import ProcessGroup

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.registry import Original, patch

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
    infer: Original, cfg: DistributedTrainingConfig, *args: Any, **kwargs: Any
) -> None:
    """Take the world size from torchrun, where fairseq takes it from the GPUs of its own node."""
    world_size = world_size_of_torchrun()
    if cfg.distributed_init_method is None and world_size is not None:
        cfg.distributed_world_size = world_size
    infer(cfg, *args, **kwargs)


@patch(distributed_utils, "_infer_torch_distributed_launch_init")
def take_rank_of_torchrun(infer: Original, cfg: DistributedTrainingConfig) -> None:
    """Without a GPU take the rank from torchrun; fairseq divides by the number of GPUs."""
    if torch.cuda.device_count():
        infer(cfg)
    else:
        cfg.distributed_init_method = "env://"
        cfg.distributed_rank = int(os.environ["RANK"])
        cfg.device_id = 0  # by default torchrun's local rank, which no GPU has
        cfg.distributed_no_spawn = True


@patch(distributed_utils, "_infer_single_node_init")
def name_torchrun(infer: Original, cfg: DistributedTrainingConfig) -> None:
    """Raise InputError for more processes than GPUs, where fairseq asserts that there are none."""
    gpus = torch.cuda.device_count()
    if cfg.distributed_world_size > gpus:
        raise InputError(
            f"--distributed-world-size {cfg.distributed_world_size}: fairseq starts a process for"
            f" each GPU and there are {gpus} here; torchrun starts them anywhere: torchrun"
            f" --standalone --nproc_per_node {cfg.distributed_world_size} -m fairseq_cli.train ..."
        )
    infer(cfg)


@patch(distributed_utils, "distributed_init")
def quieten_all_but_first(init: Original, cfg: FairseqConfig) -> int:
    """Only the first process logs; fairseq-validate sets the level back in every one."""
    rank: int = init(cfg)
    if rank > 0:
        logging.disable(logging.INFO)
    return rank


@patch(distributed_utils, "all_gather_list")
def gather_on_cpu(
    gather: Original, data: Any, group: ProcessGroup | None = None, max_size: int = 16384
) -> Any:
    """Gather without a GPU, on which fairseq puts everything."""
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
def broadcast_plain_settings(broadcast: Original, obj: object, *args: Any, **kwargs: Any) -> Any:
    """A training in several processes can be resumed.

    One process reads the checkpoint and sends it to the others, with its settings as an OmegaConf
    object, which torch does not unpickle. They are sent as a dictionary.
    """
    if isinstance(obj, dict) and OmegaConf.is_config(obj.get("cfg")):
        obj = {**obj, "cfg": OmegaConf.to_container(obj["cfg"])}
    return broadcast(obj, *args, **kwargs)
