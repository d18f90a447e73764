"""Learning rates as they are at every step: the numbers that the protocols promise, whatever the batch is made of."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from mixpro_bench.compat.runner import Runner
from mixpro_bench.config import load_config

pytestmark = pytest.mark.mm

CONFIGS = Path(__file__).parents[2] / "configs"
PRETRAIN = CONFIGS / "pretrain/in1k/deit/deit_tiny_p16_none.py"


def optimizer_of(cfg) -> torch.optim.Optimizer:
    settings = {key: value for key, value in cfg.optim_wrapper.optimizer.items() if key != "type"}
    return torch.optim.AdamW([torch.zeros(1, requires_grad=True)], **settings)


def rates(cfg, steps: int, epoch_length: int) -> list[float]:
    """Return the learning rate of every step."""
    optimizer = optimizer_of(cfg)
    schedulers = []
    for settings in cfg.param_scheduler:
        settings = dict(settings)
        cls = PARAM_SCHEDULERS.get(settings.pop("type"))
        if settings.pop("convert_to_iter_based", False):
            schedulers.append(cls.build_iter_from_epoch(optimizer, epoch_length=epoch_length, **settings))
        else:
            schedulers.append(cls(optimizer, **settings))
    seen = []
    for step in range(1, steps + 1):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            if not scheduler.by_epoch or step % epoch_length == 0:
                scheduler.step()
    return seen


def test_pretraining():
    length = 4
    seen = rates(load_config(PRETRAIN), 300 * length, length)
    assert seen[0] == pytest.approx(1e-6)
    assert max(seen) == pytest.approx(1e-3)
    assert seen.index(max(seen)) in (20 * length - 1, 20 * length)
    assert seen[160 * length] == pytest.approx((1e-3 + 1e-5) / 2, rel=0.01)
    assert seen[-1] == pytest.approx(1e-5, rel=0.01)
    assert len(set(seen[-length:])) == length  # per step, not per epoch


@pytest.mark.parametrize(("schedule", "drops", "epochs"), [("1x", (8, 11), 12), ("3x", (27, 33), 36)])
def test_detection(schedule, drops, epochs):
    length = 500
    cfg = load_config(CONFIGS / f"transfer/det/coco/mask-rcnn_deit_tiny_p16_{schedule}.py")
    seen = rates(cfg, epochs * length, length)
    assert seen[0] == pytest.approx(1e-7)
    assert seen[1000] == pytest.approx(1e-4)
    assert seen[drops[0] * length - 1] == pytest.approx(1e-4)
    assert seen[drops[0] * length] == pytest.approx(1e-5)
    assert seen[drops[1] * length] == seen[-1] == pytest.approx(1e-6)


def test_segmentation():
    cfg = load_config(CONFIGS / "transfer/seg/ade20k/upernet_deit_tiny_p16_8k.py")
    seen = rates(cfg, 8000, 100)
    assert seen[0] == pytest.approx(6e-5 * 1e-6)
    assert max(seen) == pytest.approx(6e-5, rel=1e-3)
    assert abs(seen.index(max(seen)) - 1500) <= 1
    assert seen[4750] == pytest.approx(3e-5, rel=0.01)
    assert 0 <= seen[-1] < 6e-8


@pytest.mark.parametrize(
    ("world_size", "batch", "accumulated", "factor"),
    [(8, 128, 1, 1), (4, 128, 1, 0.5), (4, 128, 2, 1), (1, 64, 4, 0.25)],
)
def test_rates_scale_with_the_global_batch(world_size, batch, accumulated, factor):
    cfg = load_config(PRETRAIN)
    runner = Runner.__new__(Runner)
    runner._train_dataloader, runner._world_size, runner.param_schedulers = dict(batch_size=batch), world_size, None
    runner.logger = logging.getLogger("test")
    wrapper = OptimWrapper(optimizer_of(cfg), accumulative_counts=accumulated)
    runner.scale_lr(wrapper, cfg.auto_scale_lr)
    assert wrapper.optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * factor)
