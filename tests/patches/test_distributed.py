"""Several processes, with and without GPUs."""

import pytest
import torch
from fairseq.dataclass.configs import DistributedTrainingConfig
from fairseq.distributed import utils as distributed_utils
from omegaconf import OmegaConf

from fairseq_lstmn.errors import InputError


@pytest.mark.parametrize("gpus, local_rank, device", [(0, 1, 0), (1, 0, 0), (2, 1, 1)])
def test_processes_of_torchrun_belong_together(monkeypatch, gpus, local_rank, device):
    """On two CPUs of a node, on nodes with one GPU each, and on nodes with two."""
    started = dict(MASTER_ADDR="node1", MASTER_PORT="29500", WORLD_SIZE="4", RANK="3")
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    # the device is from torchrun's LOCAL_RANK; fairseq-fixed finds it again
    alone = dict(distributed_world_size=max(1, gpus), tpu=False, device_id=local_rank)
    cfg = OmegaConf.structured(DistributedTrainingConfig(**alone))
    distributed_utils.infer_init_method(cfg)
    assert cfg.distributed_init_method == "env://"
    assert (cfg.distributed_world_size, cfg.distributed_rank, cfg.device_id) == (4, 3, device)
    assert cfg.distributed_no_spawn


def test_more_processes_than_gpus_are_told_of_torchrun(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    cfg = OmegaConf.structured(DistributedTrainingConfig(distributed_world_size=2, tpu=False))
    with pytest.raises(InputError, match="--distributed-world-size 2: .*torchrun"):
        distributed_utils.infer_init_method(cfg)
