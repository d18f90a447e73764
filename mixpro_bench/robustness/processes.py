"""Several processes that measure together: each a share of the pictures, and all get all results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dist import get_world_size
from torch import Tensor


@contextmanager
def join_processes(launcher: str) -> Iterator[None]:
    """Join the other processes that a launcher has started, for as long as the context lasts.

    Args:
        launcher: mmengine's name of it, or ``"none"``.
    """
    if launcher == "none":
        yield
        return
    import torch.distributed as dist
    from mmengine.dist import init_dist

    from mixpro_bench.compat.distributed import init_without_gpu

    init_without_gpu(launcher, {})
    if not dist.is_initialized():
        init_dist(launcher)
    try:
        yield
    finally:
        dist.destroy_process_group()


def gather(mine: Tensor, total: int) -> Tensor:
    """Return what all processes have, put back in order: process r holds every ``world``-th from r on.

    Args:
        mine: This process' share, (n, ...), on the CPU.
        total: How many there are in all.
    """
    world = get_world_size()
    if world == 1:
        return mine
    import torch.distributed as dist

    parts: list[Any] = [None] * world
    dist.all_gather_object(parts, mine)
    whole = mine.new_empty((total, *mine.shape[1:]))
    for rank, part in enumerate(parts):
        whole[rank::world] = part
    return whole


def everybody(mine: bool) -> bool:
    """Return whether something holds in every process; all of them have to ask."""
    if get_world_size() == 1:
        return mine
    import torch.distributed as dist

    answers: list[Any] = [None] * get_world_size()
    dist.all_gather_object(answers, mine)
    return all(answers)
