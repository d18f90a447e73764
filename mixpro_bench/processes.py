"""How many processes train together, what each of them gets of a batch, and whether the machine has a GPU for each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mixpro_bench.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

# What torchrun, SLURM and MPI call the number of processes, in all and on this machine. In a job of SLURM's, and
# nothing else, one process is one run as long as the launcher is not 'slurm'.
_ALL = {"pytorch": "WORLD_SIZE", "none": "WORLD_SIZE", "slurm": "SLURM_NTASKS", "mpi": "OMPI_COMM_WORLD_SIZE"}
_HERE = {"pytorch": "LOCAL_WORLD_SIZE", "none": "LOCAL_WORLD_SIZE", "mpi": "OMPI_COMM_WORLD_LOCAL_SIZE"}


def launcher_of(named: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return mmengine's name of what started this process: the one that was named, else torchrun's if it did it."""
    return named or ("pytorch" if "LOCAL_RANK" in environment else "none")


def process_count(launcher: str, environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of processes of a run."""
    return int(environment.get(_ALL[launcher], "1"))


def deal_out(cfg: Config, batch: int, processes: int) -> None:
    """Set the batch per process so that an optimizer step takes ``batch`` images over all processes.

    Accumulated passes (``optim_wrapper.accumulative_counts``) share it too.

    Args:
        cfg: The config; changed in place.
        batch: Images per optimizer step.
        processes: Number of processes.

    Raises:
        UserError: If processes and passes do not divide the batch, or the config has no training data.
    """
    passes = int((cfg.get("optim_wrapper") or {}).get("accumulative_counts", 1))
    if cfg.get("train_dataloader") is None:
        raise UserError("--global-batch needs a train_dataloader in the config")
    parts = processes * passes
    if batch < 1 or batch % parts:
        shares = f"{processes} processes" + (f" of {passes} accumulated passes" if passes > 1 else "")
        raise UserError(
            f"a global batch of {batch} images cannot be dealt out evenly to {shares}: "
            f"give a multiple of {parts}, or start another number of processes"
        )
    cfg.train_dataloader.batch_size = batch // parts


def check_gpus(launcher: str, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse more processes on this machine than it has GPUs. Without any GPU they train on the processor.

    Raises:
        UserError: With both numbers.
    """
    import torch

    wanted = int(environment.get(_HERE.get(launcher, ""), "1"))
    if torch.cuda.is_available() and wanted > (there := torch.cuda.device_count()):
        raise UserError(
            f"{wanted} processes were asked for on this machine, one per GPU, but {there} GPU"
            f"{'s are' if there != 1 else ' is'} to be seen: start {there}, or correct CUDA_VISIBLE_DEVICES"
        )
