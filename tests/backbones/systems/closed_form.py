"""How many parameters the layers of a system have, from their sizes alone, and what a built system has."""

from __future__ import annotations

import functools

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def linear(i: int, o: int, bias: bool = True) -> int:
    return i * o + o * bias


def norm(c: int) -> int:
    return 2 * c


def conv(i: int, o: int, k: int, bias: bool = True) -> int:
    return i * o * k * k + o * bias


def depthwise(c: int, k: int) -> int:
    return c * k * k + c


@functools.lru_cache
def on_meta(system: type, variant: str, **sizes) -> nn.Module:
    with torch.device("meta"):
        return system(variant, **sizes).eval()


def parameters(system: type, variant: str, **sizes) -> int:
    return sum(p.numel() for p in on_meta(system, variant, **sizes).parameters())


def gmacs(system: type, variant: str, size: int = 224, **sizes) -> float:
    model = on_meta(system, variant, **sizes)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, size, size, device="meta"))
    return counter.get_total_flops() / 2e9
