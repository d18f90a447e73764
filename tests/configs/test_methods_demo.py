"""The suite of all presets: it names every preset, and each of its configs builds a model that trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mixpro_bench.mixing.policy import Place
from mixpro_bench.presets import PRESETS

# The common mix takes the same branches at other shares.
NAMES = sorted(name for name, preset in PRESETS.items() if preset.mix != "common")
CONFIGS = Path(__file__).parents[2] / "configs"
pytestmark = [pytest.mark.mm, pytest.mark.configs]


def load(preset: str):
    from mixpro_bench.config import load_config

    return load_config(CONFIGS / "pretrain" / "digits" / f"vit_digits_{preset}.py")


def test_the_suite_names_every_preset():
    from mixpro_bench.suite.plan import read_suite

    suite = read_suite(CONFIGS / "suites" / "methods_demo.py")
    assert sorted(suite.methods) == NAMES


@pytest.mark.parametrize("preset", NAMES)
def test_every_branch_of_every_config_trains(preset):
    from mixpro_bench.registry import MODELS

    cfg = load(preset)
    assert cfg.bench.preset == cfg.model.policy.preset == preset
    assert cfg.bench.method == PRESETS[preset].method
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    assert model.policy.needs_aux == ()
    images, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 9])
    seen = set()
    for step in range(40):
        model.place = Place(0, step)
        name = type(model.policy.choose(model.place).mixer).__name__
        if name in seen:
            continue
        seen.add(name)
        model.zero_grad()
        losses = model(images, labels, mode="loss", index=torch.arange(4))
        sum(value for key, value in losses.items() if "loss" in key).backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert gradients
        assert all(torch.isfinite(g).all() for g in gradients)
    assert len(seen) == len(model.policy.branches)
