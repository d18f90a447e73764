"""What only a GPU can show: kernels stay fused in bf16, no step waits, memory, operators, a resumed run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from mixpro_bench.backbones.contract import Need, Share
from mixpro_bench.backbones.timm import TimmBackbone
from mixpro_bench.benchmark.step import METHODS, Trainee, benchmark_step, rows_of
from mixpro_bench.compat.checkpoint import load_checkpoint
from mixpro_bench.datasets.digits import build_digits

ROOT = Path(__file__).parents[2]
DEVICE = torch.device("cuda")
FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
VIT = dict(type="mixpro_bench.TimmBackbone", name="deit_tiny_patch16_224", num_classes=10)
pytestmark = pytest.mark.gpu


@pytest.mark.mm
@pytest.mark.parametrize("name", rows_of(METHODS))
def test_attention_stays_fused_in_bf16(name):
    """Without its plain form at hand, a call that had to fall back on it would raise."""
    trainee = Trainee(name, dict(VIT, depth=2), DEVICE, batch_size=4, img_size=224, amp=True)
    with sdpa_kernel(FUSED):
        trainee(0)
    assert all(torch.isfinite(p).all() for p in trainee.model.parameters())


@pytest.mark.mm
@pytest.mark.parametrize("name", rows_of(METHODS))
def test_a_whole_training_step_never_waits(name):
    """Autocast, mixing, forward, labels, backward, clipping and the optimizer; the first steps fill caches."""
    trainee = Trainee(name, dict(VIT, depth=2), DEVICE, batch_size=4, img_size=224, amp=True)
    for number in range(3):
        trainee(number)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainee(3)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.mm
def test_reading_attention_takes_no_matrix_of_memory():
    """At 785 tokens the attention matrix of one of four layers alone would add more than a third."""
    methods = ["none", "mixpro", "transmix", "tl_align"]
    backbone = dict(VIT, depth=4, img_size=448)
    rows = benchmark_step(methods, backbone, DEVICE, batch_size=8, img_size=448, amp=True, rounds=1, warm_up=0)["rows"]
    ratios = {row["method"]: row["memory_ratio"] for row in rows}
    assert all(ratio < 1.25 for ratio in ratios.values()), ratios


def test_the_share_of_a_survives_bf16():
    """TL-Align's number per token, carried through twelve blocks, next to float32."""
    torch.manual_seed(0)
    backbone = TimmBackbone("deit_tiny_patch16_224", num_classes=10).to(DEVICE).train()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(8, 3, 224, 224, generator=generator).to(DEVICE)
    mask = (torch.rand(8, 14, 14, generator=generator) < 0.6).float().to(DEVICE)
    share = Share(mask.mean(dim=(1, 2)), lambda h, w: mask)
    exact = backbone(images, need=Need(share=True), share=share).share
    with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
        carried = backbone(images, need=Need(share=True), share=share).share
    assert carried.dtype == torch.float32
    torch.testing.assert_close(carried, exact, rtol=0, atol=1e-2)
    assert (carried >= -1e-2).all()
    assert (carried <= 1 + 1e-2).all()


@pytest.mark.mm
def test_operators_agree_with_the_cpu():
    """NMS and RoIAlign, whoever provides them, are the same on both devices, gradients included."""
    from mixpro_bench.compat import install

    install()
    from mmcv.ops import RoIAlign, nms

    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(200, 2, generator=generator) * 80
    boxes = torch.cat([corners, corners + 4 + 30 * torch.rand(200, 2, generator=generator)], dim=1)
    scores = torch.rand(200, generator=generator)
    kept = [nms(boxes.to(device), scores.to(device), 0.5)[1].cpu() for device in ("cpu", DEVICE)]
    assert torch.equal(*kept)
    rois = torch.cat([torch.randint(2, (200, 1), generator=generator).float(), boxes], dim=1)
    maps = torch.randn(2, 8, 32, 32, generator=generator)
    found = []
    for device in ("cpu", DEVICE):
        inputs = maps.to(device).requires_grad_()
        out = RoIAlign(7, 0.25, 2)(inputs, rois.to(device))
        out.square().sum().backward()
        found.append((out.detach().cpu(), inputs.grad.cpu()))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-4)


def mixpro_bench(folder: Path, *words: object) -> None:
    """Run a command in a process of its own, as a user does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MIXPRO_DIGITS": str(folder), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-m", "mixpro_bench", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.mm
def test_a_resumed_run_goes_where_the_uninterrupted_one_went(tmp_path):
    """Bit-equal on the CPU; on a GPU sums come in any order, so the two are compared by how far they have moved."""
    made = build_digits(tmp_path, counts=dict(cls=(96, 32), det=(1, 1), seg=(1, 1)))
    (tmp_path / "v1-seed0").symlink_to(made)
    config = "configs/pretrain/digits/vit_digits_mixpro.py"
    options = ["--amp", "--cfg-options", "train_cfg.max_epochs=3", "train_cfg.val_interval=3"]
    options += ["default_hooks.checkpoint.interval=1", "default_hooks.checkpoint.max_keep_ckpts=3"]
    mixpro_bench(tmp_path, "pretrain", config, "--work-dir", tmp_path / "whole", *options)
    middle = tmp_path / "whole/epoch_2.pth"
    mixpro_bench(tmp_path, "pretrain", config, "--work-dir", tmp_path / "rest", "--resume", middle, *options)
    start, *ends = (
        torch.cat([value.double().flatten() for value in load_checkpoint(path)["state_dict"].values()])
        for path in (middle, tmp_path / "whole/epoch_3.pth", tmp_path / "rest/epoch_3.pth")
    )
    moved = (ends[0] - start).norm()
    assert moved > 0
    assert (ends[0] - ends[1]).norm() < 0.05 * moved


@pytest.mark.mm
@pytest.mark.parametrize("task", ["det", "seg"])
def test_a_transfer_trains_and_predicts(tmp_path, task):
    made = build_digits(tmp_path, counts=dict(cls=(1, 1), det=(12, 4), seg=(12, 4)))
    (tmp_path / "v1-seed0").symlink_to(made)
    name = {"det": "det/mask-rcnn_vit-digits_digits", "seg": "seg/upernet_vit-digits_digits"}[task]
    words = ["transfer", f"configs/transfer/{name}.py", "--from-scratch", "--work-dir", tmp_path / "run", "--amp"]
    mixpro_bench(tmp_path, *words, "--cfg-options", "train_cfg.max_iters=4", "train_cfg.val_interval=4")
    assert (tmp_path / "run/record.json").is_file()
