"""What the operations of image space cost, in copies of the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch

from mixpro_bench.backbones.contract import Output
from mixpro_bench.benchmark.measure import compare, interleave, machine, peak_bytes
from mixpro_bench.mixing.batch import Mixer
from mixpro_bench.registry import BATCH_AUGMENTS
from mixpro_bench.rng import rng

COPY = "copy"
OPERATIONS: dict[str, dict[str, Any]] = {
    "mixup": dict(type="Mixup"),
    "cutmix": dict(type="CutMix"),
    "maskmix": dict(type="MaskMix", mask_patch=32),
    "tokencutmix": dict(type="TokenCutMix", patch=16),
    "tokenmix": dict(type="TokenMix", patch=16),
    "tokenmix-random": dict(type="TokenMix", kind="random", patch=16),
    "smmix": dict(type="SMMix"),
}


def benchmark_mixing(
    device: torch.device,
    batch_size: int = 128,
    img_size: int = 224,
    rounds: int = 20,
    warm_up: int = 3,
    show: Callable[[range], Iterable[int]] = iter,
) -> dict[str, Any]:
    """Time every image operation, its draws included, next to a plain copy of the batch.

    SMMix is given the importance of the unmixed images; what it costs to get that is a matter of the training step.

    Args:
        device: Where the images lie.
        batch_size: Images, even.
        img_size: Pixels per side, a multiple of 32.
        rounds: Rounds that count.
        warm_up: Rounds before.
        show: Wraps the range of rounds, to show progress.

    Returns:
        The setting, and ``rows`` with time, ratio to the copy (see `compare`), peak memory and its ratio to the copy.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch_size, 3, img_size, img_size, generator=generator).to(device)
    labels = (torch.arange(batch_size) % 1000).to(device)
    tokens = torch.rand(batch_size, img_size // 16, img_size // 16, generator=generator).to(device)
    unmixed = Output(logits=torch.zeros(batch_size, 1, device=device), importance=tokens)

    def operation(mixer: Mixer) -> Callable[[int], Any]:
        seen = unmixed if mixer.needs_unmixed else None
        return lambda number: mixer(images, labels, [rng(0, "mix", number)], seen)

    works: dict[str, Callable[[int], Any]] = {COPY: lambda number: images.clone()}
    works.update({name: operation(BATCH_AUGMENTS.build(dict(spec))) for name, spec in OPERATIONS.items()})
    state = machine(device)
    times = compare(interleave(works, rounds, device, warm_up, show=show), COPY)
    memory = {name: peak_bytes(partial(work, 0), device) for name, work in works.items()}
    rows = [{"operation": name, **times[name], **memory_columns(memory[name], memory[COPY])} for name in works]
    return {"batch_size": batch_size, "img_size": img_size, "rounds": rounds, **state, "rows": rows}


def memory_columns(used: int | None, base: int | None) -> dict[str, float | None]:
    """Return peak memory in MiB and as a ratio to ``base``; None where it is not known."""
    return {
        "peak_mib": None if used is None else used / 2**20,
        "memory_ratio": None if used is None or not base else used / base,
    }
