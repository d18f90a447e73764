"""Learning rates as they are at every step: the numbers that the protocols promise, whatever the batch is made of."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from timm.scheduler import CosineLRScheduler

from mixpro_bench.compat.runner import Runner
from mixpro_bench.config import load_config
from mixpro_bench.errors import UserError
from mixpro_bench.pretrain.schedules import CosineUnderWarmupLR
from mixpro_bench.registry import PARAM_SCHEDULERS

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


@pytest.mark.parametrize(
    ("config", "warmup", "late"),
    [
        ("deit_small_p16_official-transmix_transmix", 20, False),
        ("deit_base_p16_official-transmix-b_transmix-b", 5, False),
        ("deit_small_p16_official-tl-align_tl-align", 5, True),
        ("deit_small_p16_official-tokenmix_tokenmix", 5, True),
        ("deit_small_p16_official-smmix_smmix", 5, True),
    ],
)
def test_official_recipes_by_epoch_are_those_of_timm(config, warmup, late):
    """timm's own scheduler, called as the released code calls it, gives every epoch the same rate."""
    cfg = load_config(CONFIGS / f"pretrain/in1k_official/{config}.py")
    epochs = cfg.train_cfg.max_epochs
    optimizer = optimizer_of(cfg)
    theirs = timm_cosine(optimizer, 300, warmup)
    expected = []
    for epoch in range(epochs):
        expected.append(optimizer.param_groups[0]["lr"])
        theirs.step(epoch if late else epoch + 1)
    assert rates(cfg, 2 * epochs, 2)[::2] == pytest.approx(expected, rel=1e-9)
    assert expected[:2] == [1e-6, 1e-6] if late else expected[1] > 1e-5
    assert epochs == 300 or expected[-9:] == pytest.approx([1e-5] * 9)


def test_the_official_recipe_of_mixpro_by_step_is_that_of_timm():
    cfg = load_config(CONFIGS / "pretrain/in1k_official/deit_small_p14_official-mixpro_mixpro.py")
    length = 3
    optimizer = optimizer_of(cfg)
    theirs = timm_cosine(optimizer, 300 * length, 20 * length, t_in_epochs=False)
    expected = []
    for step in range(300 * length):
        expected.append(optimizer.param_groups[0]["lr"])
        theirs.step_update(step + 1)
    assert rates(cfg, 300 * length, length) == pytest.approx(expected, rel=1e-9)


def timm_cosine(optimizer: torch.optim.Optimizer, period: int, warmup: int, **more) -> CosineLRScheduler:
    return CosineLRScheduler(
        optimizer, t_initial=period, lr_min=1e-5, warmup_t=warmup, warmup_lr_init=1e-6, cycle_limit=1, **more
    )


def test_a_warmup_as_long_as_the_period_is_refused():
    with pytest.raises(UserError, match="warmup=5"):
        CosineUnderWarmupLR(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0), period=5, warmup=5)


def test_a_schedule_goes_on_from_its_state():
    def steps(scheduler, optimizer, count):
        seen = []
        for _ in range(count):
            optimizer.step()
            scheduler.step()
            seen.append(optimizer.param_groups[0]["lr"])
        return seen

    def fresh():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        return CosineUnderWarmupLR(optimizer, period=8, warmup=2, by_epoch=False), optimizer

    whole, optimizer = fresh()
    expected = steps(whole, optimizer, 10)
    first, optimizer = fresh()
    assert steps(first, optimizer, 4) == expected[:4]
    second, other = fresh()
    second.load_state_dict(first.state_dict())
    other.load_state_dict(optimizer.state_dict())
    assert steps(second, other, 6) == expected[4:]


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
