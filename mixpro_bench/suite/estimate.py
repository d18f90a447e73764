"""What a run will cost, by arithmetic, before there is any run to measure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixpro_bench.suite.run import Run

# Training images of the sets that the protocols are made for; COCO without the pictures that show nothing.
IMAGES = {"in1k": 1_281_167, "coco": 117_266}
# A forward pass, and a backward pass of twice that; two operations per multiply-accumulate.
OPERATIONS = 6
# Bytes per parameter in a checkpoint: the weight and AdamW's two moments, in float32.
BYTES = 12
# What a GPU of these days may sustain, in 1e12 operations per second: a guess, to be replaced by one's own number.
TFLOPS = 100.0


@dataclass(frozen=True)
class Cost:
    """What one run costs.

    Attributes:
        images: Training images it sees; None if the config does not say.
        flop: Operations of its backbone; heads come on top. None if they cannot be counted.
        disk: Bytes of the checkpoints it keeps.
    """

    images: int | None
    flop: float | None
    disk: int


def cost_of(cfg: Mapping[str, Any], batch: int | None) -> Cost:
    """Estimate the cost of a run.

    Args:
        cfg: A resolved config, of primitives.
        batch: Images per optimizer step, over all processes.
    """
    import torch

    from mixpro_bench.hooks.model_size import image_size_of, macs_of, parameters_of
    from mixpro_bench.registry import MODELS

    images = images_of(cfg, batch)
    told = dict((cfg.get("model") or {}).get("backbone") or {}, init_cfg=None)
    try:
        with torch.device("meta"):
            backbone = MODELS.build(told)
        parameters = parameters_of(backbone)
        size = image_size_of(cfg)
        macs = macs_of(backbone, size) if size is not None else None
    except Exception:  # an estimate is no reason to refuse a plan
        parameters, macs = 0, None
    kept = int((((cfg.get("default_hooks") or {}).get("checkpoint")) or {}).get("max_keep_ckpts", 1))
    # One more than is kept, since the next one is written before the last one goes.
    disk = parameters * BYTES * (max(kept, 1) + 1)
    return Cost(images, OPERATIONS * macs * images if macs and images else None, disk)


def images_of(cfg: Mapping[str, Any], batch: int | None) -> int | None:
    """Return how many training images a run sees, None if the config does not say.

    Examples:
        >>> images_of({"train_cfg": {"max_iters": 100}}, 16)
        1600
        >>> images_of({"train_cfg": {"max_epochs": 12}, "bench": {"protocol": "coco-maskrcnn-1x"}}, 16)
        1407192
    """
    train = cfg.get("train_cfg") or {}
    if train.get("max_iters") and batch:
        return int(train["max_iters"]) * batch
    size = IMAGES.get(str((cfg.get("bench") or {}).get("protocol", "")).split("-", 1)[0])
    return int(train["max_epochs"]) * size if train.get("max_epochs") and size else None


def sentences(runs: Sequence[Run], costs: Mapping[str, Cost], tflops: float) -> Iterator[str]:
    """Yield a sentence per task about the runs that are still to be done, and one about all of them.

    Args:
        runs: The runs.
        costs: Cost of each run by its name; runs without one are left out.
        tflops: What a GPU is taken to sustain, in 1e12 operations per second.
    """
    by_task: dict[str, list[Cost]] = defaultdict(list)
    for run in runs:
        if run.name in costs:
            by_task[run.task].append(costs[run.name])
    hours = 0.0
    for task, each in by_task.items():
        known = [cost.flop for cost in each if cost.flop is not None]
        disk = sum(cost.disk for cost in each)
        hours += (part := sum(known) / (tflops * 1e12) / 3600)
        left = f" ({len(each) - len(known)} runs not counted)" if len(known) < len(each) else ""
        yield f"{task}: {len(each)} runs, about {part:,.1f} GPU hours{left} and {disk / 1e9:,.1f} GB of checkpoints"
    if by_task:
        yield (
            f"in all about {hours:,.1f} GPU hours at {tflops:g} TFLOP/s sustained (--tflops): the backbones' "
            "arithmetic alone, forward and backward; heads, data and validation come on top"
        )
