"""How a batch is dealt out, and to whom."""

from __future__ import annotations

import pytest
import torch

from mixpro_bench.errors import UserError
from mixpro_bench.processes import check_gpus, deal_out, process_count


@pytest.mark.parametrize(
    ("launcher", "environment", "count"),
    [
        ("none", {}, 1),
        ("none", {"SLURM_NTASKS": "4"}, 1),
        ("pytorch", {"WORLD_SIZE": "16"}, 16),
        ("slurm", {"SLURM_NTASKS": "4", "WORLD_SIZE": "1"}, 4),
        ("mpi", {"OMPI_COMM_WORLD_SIZE": "3"}, 3),
    ],
)
def test_processes_are_counted_as_their_launcher_does(launcher, environment, count):
    assert process_count(launcher, environment) == count


@pytest.fixture
def cfg():
    from mmengine.config import Config

    return Config(dict(train_dataloader=dict(batch_size=128), optim_wrapper=dict(accumulative_counts=4)))


@pytest.mark.mm
def test_a_batch_is_dealt_out_to_processes_and_passes(cfg):
    deal_out(cfg, 1024, 8)
    assert cfg.train_dataloader.batch_size == 32
    cfg.pop("optim_wrapper")
    deal_out(cfg, 1024, 8)
    assert cfg.train_dataloader.batch_size == 128


@pytest.mark.mm
@pytest.mark.parametrize("batch", [1000, 16, 0, -32])
def test_a_batch_that_does_not_divide(cfg, batch):
    with pytest.raises(UserError, match="8 processes of 4 accumulated passes: give a multiple of 32"):
        deal_out(cfg, batch, 8)
    assert cfg.train_dataloader.batch_size == 128


@pytest.mark.mm
def test_a_batch_without_training_data(cfg):
    cfg.pop("train_dataloader")
    with pytest.raises(UserError, match="needs a train_dataloader"):
        deal_out(cfg, 16, 1)


def test_fewer_gpus_than_processes(monkeypatch):
    """On a machine with two GPUs, which this need not be."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for launcher, told in (
        ("pytorch", "LOCAL_WORLD_SIZE"),
        ("none", "LOCAL_WORLD_SIZE"),
        ("mpi", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ):
        check_gpus(launcher, {told: "2"})
        with pytest.raises(UserError, match=r"8 processes .* 2 GPUs are to be seen: start 2, or correct"):
            check_gpus(launcher, {told: "8"})
    check_gpus("none", {})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check_gpus("pytorch", {"LOCAL_WORLD_SIZE": "8"})
