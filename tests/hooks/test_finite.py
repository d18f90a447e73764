"""NaN in training: the step is left out and nothing else changes, the files are named, and a run of them ends."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper as EngineOptimWrapper
from PIL import Image
from torch import nn

from mixpro_bench.compat.amp import AmpOptimWrapper, OptimWrapper
from mixpro_bench.compat.checkpoint import load_checkpoint
from mixpro_bench.compat.finite_step import step_unless, with_fused, zero_where
from mixpro_bench.datasets.classification import ImageFolder
from mixpro_bench.errors import UserError
from mixpro_bench.hooks.finite import SKIPPED_KEY, FiniteHook
from mixpro_bench.registry import DATASETS

pytestmark = pytest.mark.mm
TOY = Path(__file__).parents[1] / "compat" / "toy.py"


@pytest.fixture(scope="module")
def toy():
    spec = importlib.util.spec_from_file_location("toy", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Watch(Hook):
    """Notes, for each iteration, whether weights or running statistics changed, and whether its batch held NaN."""

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self.before: dict = {}
        self.changed: dict[int, bool] = {}
        self.nan: dict[int, bool] = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.before = {key: value.clone() for key, value in runner.model.state_dict().items()}
        self.nan[runner.iter] = any(bool(one.isnan().any()) for one in data_batch["inputs"])

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        after = runner.model.state_dict()
        floats = [key for key, value in after.items() if value.is_floating_point()]
        assert all(bool(after[key].isfinite().all()) for key in floats)
        self.changed[runner.iter] = any(not torch.equal(after[key], self.before[key]) for key in floats)


def guarded(toy, work_dir, poisoned=(), max_skipped=10, **changes):
    cfg = toy.config(work_dir, **changes)
    cfg.train_dataloader.dataset.poisoned = poisoned
    cfg.default_hooks.finite = dict(type="mixpro_bench.FiniteHook", max_skipped=max_skipped)
    return cfg


@pytest.mark.parametrize("clip", [None, dict(max_norm=1.0), dict(type="value", clip_value=0.1)])
def test_a_poisoned_step_is_left_out(toy, tmp_path, clip, caplog):
    """Weights, running statistics and the optimizer's averages stay as they were; every other step is done."""
    cfg = guarded(toy, tmp_path, [3], model=dict(type="ToyClassifier", norm=True))
    cfg.optim_wrapper.clip_grad = clip
    cfg.experiment_name = f"watched{clip}"
    runner = toy.RUNNERS.build(cfg)
    watch = Watch()
    runner.register_hook(watch)
    with caplog.at_level(logging.WARNING):
        runner.train()
    assert sum(watch.nan.values()) == 2
    assert {iteration for iteration, changed in watch.changed.items() if not changed} == {
        iteration for iteration, nan in watch.nan.items() if nan
    }
    assert runner.message_hub.get_info(SKIPPED_KEY) == 2
    steps = {int(state["step"]) for state in runner.optim_wrapper.optimizer.state.values()}
    assert steps == {8}


def test_a_run_without_nan_has_the_same_weights(toy, tmp_path):
    plain = toy.config(tmp_path / "plain")
    with_guard = guarded(toy, tmp_path / "guarded")
    assert toy.fingerprint(toy.train(with_guard).model) == toy.fingerprint(toy.train(plain).model)


@pytest.mark.parametrize("clip", [None, dict(max_norm=0.5), dict(type="value", clip_value=0.1)])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_steps_are_those_of_mmengine(clip, accumulated):
    ends = []
    for wrapper_type in (EngineOptimWrapper, OptimWrapper, AmpOptimWrapper):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 3))
        wrapper = wrapper_type(
            optimizer=torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1),
            clip_grad=clip and dict(clip),
            accumulative_counts=accumulated,
        )
        if wrapper_type is EngineOptimWrapper:
            from mmengine.logging import MessageHub

            MessageHub.get_instance("steps_are_those_of_mmengine")
        for _ in range(6):
            wrapper.update_params(model(torch.randn(4, 5)).square().mean())
        ends.append([p.detach().clone() for p in model.parameters()])
    for other in ends[1:]:
        assert all(torch.equal(a, b) for a, b in zip(ends[0], other, strict=True))


def test_an_accumulated_step_is_left_out_whole():
    weight = nn.Parameter(torch.ones(3))
    wrapper = OptimWrapper(optimizer=torch.optim.SGD([weight], lr=1.0), accumulative_counts=2)
    for factor, skipped in ((1.0, None), (float("nan"), True), (1.0, None), (1.0, False), (float("inf"), None)):
        wrapper.update_params((weight * factor).sum())
        assert (None if wrapper.skipped is None else bool(wrapper.skipped)) is skipped
    assert weight.tolist() == [0.0, 0.0, 0.0]  # one step of two halves


def test_a_loss_that_is_not_finite_marks_its_gradients():
    """A constant that is infinite leaves finite gradients, which would be all that other processes see."""
    weight = nn.Parameter(torch.ones(3))
    wrapper = OptimWrapper(optimizer=torch.optim.SGD([weight], lr=1.0))
    wrapper.update_params(weight.sum() + float("inf"))
    assert (bool(wrapper.skipped), bool(wrapper.lost), weight.tolist()) == (True, True, [1.0, 1.0, 1.0])


@pytest.mark.parametrize("fused", [True, False])
def test_skipping_on_the_device_and_on_the_host(fused):
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=fused)
    for skip in (False, True, False):
        weight.grad = torch.full((3,), float("nan") if skip else 1.0)
        before = weight.detach().clone()
        step_unless(torch.tensor(skip), optimizer)
        assert torch.equal(weight, before) is skip
    assert int(optimizer.state[weight]["step"]) == 2
    assert not hasattr(optimizer, "found_inf")


def test_gradients_of_zero_for_other_optimizers_on_a_gpu():
    gradients = [torch.tensor([1.0, float("nan")]), torch.tensor([float("inf")])]
    kept = [gradient.clone() for gradient in gradients]
    zero_where(torch.tensor(False), gradients)
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(gradients, kept, strict=True))
    zero_where(torch.tensor(True), gradients)
    assert [gradient.tolist() for gradient in gradients] == [[0.0, 0.0], [0.0]]


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["AdamW", "Adagrad"])
def test_skipping_on_a_gpu_waits_for_nothing(name):
    weight = nn.Parameter(torch.ones(3, device="cuda"))
    model = nn.ParameterList([weight])
    options = with_fused(dict(type=name, lr=0.1), model)
    assert options.get("fused", False) is (name == "AdamW")
    optimizer = getattr(torch.optim, options.pop("type"))([weight], **options)
    wrapper = OptimWrapper(optimizer=optimizer)
    wrapper.update_params(weight.sum())
    after_one = weight.detach().clone()
    torch.cuda.set_sync_debug_mode("error")
    try:
        wrapper.update_params(weight.sum() * float("nan"))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert bool(weight.isfinite().all())
    assert torch.equal(weight, after_one) or name != "AdamW"


def test_fused_is_left_to_who_says_otherwise():
    on_cpu = nn.Linear(1, 1)
    assert with_fused(dict(type="AdamW", lr=0.1), on_cpu) == dict(type="AdamW", lr=0.1)


def test_a_run_of_nan_ends_with_an_intact_checkpoint(toy, tmp_path):
    cfg = guarded(toy, tmp_path, range(20), max_skipped=3)
    with pytest.raises(UserError, match=r"left out, 5 in all, lately of iterations 4, 5, whose .*max_skipped is 3"):
        toy.train(cfg)
    checkpoint = load_checkpoint((tmp_path / "last_checkpoint").read_text())
    assert all(bool(value.isfinite().all()) for value in checkpoint["state_dict"].values())
    assert (checkpoint["meta"]["iter"], checkpoint["message_hub"]["runtime_info"][SKIPPED_KEY]) == (4, 4)
    cfg.resume = True
    with pytest.raises(UserError, match=r"5 in all, lately of iterations 5, whose"):
        toy.train(cfg)
    cfg.default_hooks.finite.max_skipped = 10
    assert toy.train(cfg).message_hub.get_info(SKIPPED_KEY) == 10


def test_steps_that_were_not_read_yet_are_counted_in_a_checkpoint(toy, tmp_path):
    cfg = guarded(toy, tmp_path, range(20))
    cfg.default_hooks.finite.interval = 100
    with pytest.raises(InterruptedError):
        toy.train(cfg, stop=4)
    assert load_checkpoint(tmp_path / "iter_4.pth")["message_hub"]["runtime_info"][SKIPPED_KEY] == 4


def test_too_few_allowed():
    with pytest.raises(UserError, match="max_skipped is -1: use 0 or more"):
        FiniteHook(max_skipped=-1)


@DATASETS.register_module(force=True)
class PoisonedFolder(ImageFolder):
    """An ImageFolder with a picture that cannot be computed with."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        if self.archive.names[int(index)].endswith("bad.png"):
            sample["inputs"] = sample["inputs"] * float("nan")
        return sample


def test_the_files_of_a_bad_batch_are_named(toy, tmp_path):
    """A real pretraining with MixPro; the batch is mixed, so its other files are named too."""
    draw = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a/0", "a/1", "a/2", "b/3", "b/4", "b/bad" if split == "train" else "b/5"):
            path = tmp_path / "data" / split / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(path)
    loader = dict(
        batch_size=2,
        num_workers=1,
        collate_fn=dict(type="default_collate"),
        dataset=dict(
            type="PoisonedFolder",
            root=str(tmp_path / "data"),
            split="train",
            transform=dict(type="light", input_size=16, is_training=True),
        ),
        sampler=dict(type="InfiniteSampler", shuffle=True),
    )
    backbone = dict(
        type="mixpro_bench.TimmBackbone",
        name="vit_tiny_patch16_224",
        img_size=16,
        patch_size=4,
        embed_dim=16,
        depth=1,
        num_heads=2,
        num_classes=2,
    )
    cfg = guarded(
        toy,
        tmp_path / "run",
        max_skipped=1,
        default_scope="mixpro_bench",
        train_dataloader=loader,
        model=dict(type="mixpro_bench.MixClassifier", backbone=backbone, policy=dict(preset="mixpro", mask_patch=8)),
        custom_hooks=[dict(type="mixpro_bench.MixProHook")],
        val_dataloader=None,
        val_cfg=None,
        val_evaluator=None,
    )
    cfg.train_dataloader.dataset.pop("poisoned")
    cfg.default_hooks.checkpoint.pop("save_best")
    with pytest.raises(UserError) as caught:
        toy.train(cfg)
    sentence = str(caught.value)
    named = re.findall(r"[ab]/\w+\.png", sentence)
    assert Counter(named)["b/bad.png"] == 1
    assert len(set(named)) in (2, 3)
    assert str(tmp_path / "data" / "train" / "b" / "bad.png") in sentence


@pytest.mark.slow
def test_two_processes_leave_out_the_same_steps(toy, tmp_path):
    """A picture of one process makes both leave the step out: their weights stay equal."""
    torchrun = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    cfg = guarded(toy, tmp_path, [3])
    cfg.train_dataloader.batch_size = 2
    hooks = {key: cfg.default_hooks[key] for key in ("logger", "checkpoint", "finite")}
    changes = dict(launcher="pytorch", train_dataloader=cfg.train_dataloader.to_dict(), default_hooks=hooks)
    done = subprocess.run(
        [*torchrun, str(TOY), str(tmp_path), json.dumps(changes)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    prints = re.findall(r"weights (\w{64})", done.stdout)
    assert len(prints) == 2
    assert len(set(prints)) == 1
    checkpoint = load_checkpoint(tmp_path / "iter_10.pth")
    assert checkpoint["message_hub"]["runtime_info"][SKIPPED_KEY] == 2
    assert all(bool(value.isfinite().all()) for value in checkpoint["state_dict"].values())
