"""A recipe that keeps averaged weights evaluates them and hands them downstream; without its word the raw ones go."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mixpro_bench.cli.main import main
from mixpro_bench.compat.checkpoint import load_checkpoint
from mixpro_bench.config import load_config
from mixpro_bench.datasets.digits import build_digits
from mixpro_bench.registry import MODELS
from mixpro_bench.transfer.handover import read

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = "{root}/configs/pretrain/digits/vit_digits_{preset}.py"

bench = dict({bench})
custom_hooks = [
    dict(type="mixpro_bench.MixProHook"),
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.2),
]
train_cfg = dict(max_epochs=1, val_interval=1)
train_dataloader = dict(num_workers=0, persistent_workers=False, batch_size=16)
val_dataloader = dict(num_workers=0, persistent_workers=False)
"""
pytestmark = pytest.mark.mm


@pytest.fixture
def pretrain(tmp_path, monkeypatch):
    made = build_digits(tmp_path, counts=dict(cls=(64, 16), det=(1, 1), seg=(1, 1)))
    (tmp_path / "v1-seed0").symlink_to(made)
    monkeypatch.setenv("MIXPRO_DIGITS", str(tmp_path))

    def run(preset: str, bench: str) -> Path:
        path = tmp_path / f"{preset}.py"
        path.write_text(CONFIG.format(root=ROOT, preset=preset, bench=bench))
        assert main(["pretrain", str(path), "--work-dir", str(tmp_path / preset)]) == 0
        return tmp_path / preset / "epoch_1.pth"

    return run


@pytest.mark.parametrize(
    ("preset", "bench", "weights"), [("transmix", "transfer_weights='ema'", "ema"), ("smmix", "", "raw")]
)
def test_the_recipe_says_which_weights_go_downstream(pretrain, preset, bench, weights):
    path = pretrain(preset, bench)
    content = load_checkpoint(path)
    averaged = content["state_dict"]  # mmengine's EMAHook exchanges the two on saving
    raw = {k.removeprefix("module."): v for k, v in content["ema_state_dict"].items() if k.startswith("module.")}
    backbone = MODELS.build(
        {**load_config(ROOT / "configs/pretrain/digits/vit_digits_none.py").backbone, "dense": True}
    )
    loaded = read(path, backbone)
    assert (loaded.audit.weights, loaded.audit.share) == (weights, 1.0)
    name = "model.blocks.0.attn.qkv.weight"
    sides = {"ema": averaged[f"backbone.{name}"], "raw": raw[f"backbone.{name}"]}
    assert not torch.equal(sides["ema"], sides["raw"])
    assert torch.equal(loaded.state[name], sides[weights])
