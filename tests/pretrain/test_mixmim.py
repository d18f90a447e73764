"""MixMIM's pretraining against its official size, its description written as loops, and the mmengine Runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mixpro_bench.backbones import MixMIM
from mixpro_bench.datasets.digits import build_digits
from mixpro_bench.errors import UserError
from mixpro_bench.mixing import Place
from mixpro_bench.pretrain import MixMIMPretrainer
from mixpro_bench.pretrain.objectives.mixmim import draw_mask, patch_losses, pixels_of
from mixpro_bench.rng import rng
from mixpro_bench.transfer.handover import read
from mixpro_bench.transfer.optimizer import param_groups

ROOT = Path(__file__).parents[2]
ENCODER = dict(type="mixpro_bench.MixMIM", variant="mixmim_test")


@pytest.fixture
def model() -> MixMIMPretrainer:
    torch.manual_seed(0)
    model = MixMIMPretrainer(ENCODER, width=32, depth=2, heads=4)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("qkv.weight") or "mask_token" in name or "pixels" in name:
                p.normal_(std=0.3)
    model.place = Place(0, 0)
    return model


def images(batch: int = 4, size: tuple[int, int] = (64, 96)) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 + 0.5


def test_parameters():
    with torch.device("meta"):
        model = MixMIMPretrainer(dict(type="mixpro_bench.MixMIM", variant="mixmim_base"))
    # The official count holds the fixed positions of both halves, which are computed here.
    fixed = 56 * 56 * 128 + 7 * 7 * 512
    assert sum(p.numel() for p in model.parameters()) + fixed == 114_665_784
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.6])
def test_the_mask_has_its_share_and_is_a_function_of_its_place(ratio: float):
    masks = [draw_mask(rng(3, "mixmim", step, rank), (7, 7), ratio) for step in range(20) for rank in (0, 1)]
    assert all(m.shape == (7, 7) and m.dtype == torch.bool and m.sum() == int(49 * ratio) for m in masks)
    assert len({m.numpy().tobytes() for m in masks}) == 40
    assert torch.equal(masks[7], draw_mask(rng(3, "mixmim", 3, 1), (7, 7), ratio))
    # Every cell has its turn: 40 draws of at least a quarter leave one out once in 10^5 times.
    assert torch.stack(masks).any(dim=0).all()


def test_pixels_of_patches():
    x = images(2, (4, 8))
    found = pixels_of(x, 4)
    assert found.shape == (2, 2, 48)
    for b in range(2):
        for n in range(2):
            pixels = [x[b, c, i, 4 * n + j].item() for i in range(4) for j in range(4) for c in range(3)]
            mean, std = np.mean(pixels), np.sqrt(np.var(pixels, ddof=1) + 1e-6)
            assert np.allclose(found[b, n].numpy(), (np.array(pixels) - mean) / std, atol=1e-5)
    assert pixels_of(torch.ones(1, 3, 4, 4), 4).abs().max() == 0


@torch.no_grad()
def by_hand(model: MixMIMPretrainer, x: Tensor, mask: Tensor) -> float:
    """Reconstruct image by image and cell by cell, and return the mean squared error."""
    decoder, batch = model.decoder, len(x)
    encoded = model.backbone.norm(model.backbone.trunk(x, mask)[0][-1].permute(0, 2, 3, 1)).flatten(1, 2)
    rows, columns = mask.shape
    omega = [10000 ** -(k / 8) for k in range(8)]
    position = torch.tensor(
        [
            [f(place * o) for place in (column, row) for f in (np.sin, np.cos) for o in omega]
            for row in range(rows)
            for column in range(columns)
        ],
        dtype=torch.float32,
    )
    errors = []
    for b in range(batch):
        # What mix b shows of image b, and what mix B - 1 - b shows of it.
        for mix, hidden in ((b, mask.flatten()), (batch - 1 - b, ~mask.flatten())):
            tokens = [
                decoder.mask_token[0, 0] if hidden[n] else decoder.embed(encoded[mix, n]) for n in range(rows * columns)
            ]
            z = (torch.stack(tokens) + position)[None]
            for block in decoder.blocks:
                z = block(z)
            predicted = decoder.pixels(decoder.norm(z))[0]
            for n in range(rows * columns):
                if hidden[n]:
                    cell = x[b, :, n // columns * 32 : n // columns * 32 + 32, n % columns * 32 : n % columns * 32 + 32]
                    pixels = cell.permute(1, 2, 0).flatten()
                    errors.append(
                        (predicted[n] - (pixels - pixels.mean()) / (pixels.var() + 1e-6).sqrt()).square().mean()
                    )
    assert len(errors) == batch * rows * columns
    return torch.stack(errors).mean().item()


def test_the_loss_is_its_description(model: MixMIMPretrainer):
    x = images()
    for step in range(3):
        model.place = Place(5, step)
        mask = draw_mask(rng(5, "mixmim", step, 0), (2, 3), 0.5)
        assert mask.sum() == 3
        found = model(x, mode="loss")
        assert set(found) == {"loss_reconstruction"}
        assert found["loss_reconstruction"].item() == pytest.approx(by_hand(model, x, mask), abs=1e-5)


def test_no_cell_is_reconstructed_from_itself_or_from_the_other_image(model: MixMIMPretrainer):
    x = images().requires_grad_()
    mask = torch.tensor([[True, False, True], [False, False, True]])
    predicted = model.reconstruct(x, mask)
    for cell in range(6):
        hidden = mask if mask.flatten()[cell] else ~mask
        (grad,) = torch.autograd.grad(predicted[1, cell].square().sum(), x, retain_graph=True)
        assert grad[[0, 2, 3]].abs().max() == 0
        seen = grad[1].abs().reshape(3, 2, 32, 3, 32).amax(dim=(0, 2, 4)) > 0
        assert torch.equal(seen, ~hidden)


def test_every_parameter_learns_and_heads_for_the_optimizer(model: MixMIMPretrainer):
    model(images(), mode="loss")["loss_reconstruction"].backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    groups = {g["name"]: g["param_names"] for g in param_groups(model, 1e-3, 0.05)}
    assert "decoder.mask_token" in groups["no_decay"]
    assert "decoder.pixels.weight" in groups["decay"]


def test_validation_is_the_same_at_every_step(model: MixMIMPretrainer):
    model.eval()
    with torch.no_grad():
        first = model(images(), mode="predict")
        model.place = Place(9, 9)
        again = model(images(), mode="predict")
        mask = draw_mask(rng(0, "mixmim-val", 0), (2, 3), 0.5)
        errors = patch_losses(model(images()), images(), 32).mean(dim=1)
    assert [float(one["reconstruction"]) for one in first] == [float(one["reconstruction"]) for one in again]
    assert float(torch.stack([one["reconstruction"] for one in first]).mean()) == pytest.approx(
        by_hand(model, images(), mask), abs=1e-5
    )
    assert torch.equal(errors, torch.stack([one["reconstruction"] for one in first]))


def test_bf16_autocast(model: MixMIMPretrainer):
    plain = model(images(), mode="loss")["loss_reconstruction"]
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(images(), mode="loss")["loss_reconstruction"]
    assert loss.dtype == torch.float32
    assert torch.allclose(loss, plain, rtol=0.02)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_wrong_settings_are_refused(model: MixMIMPretrainer):
    with pytest.raises(UserError, match=r"is a SReT: MixMIMPretrainer mixes within"):
        MixMIMPretrainer(dict(type="mixpro_bench.SReT", variant="sret_test"))
    with pytest.raises(UserError, match=r"model\.ratio=1\.0 is not between"):
        MixMIMPretrainer(ENCODER, ratio=1.0)
    with pytest.raises(UserError, match=r"cells of 32 px, which do not divide images of 48 x 64"):
        model(images(2, (48, 64)), mode="loss")
    model.place = None
    with pytest.raises(UserError, match="PlaceHook"):
        model(images(), mode="loss")


@pytest.mark.mm
@pytest.mark.slow
def test_trains_on_digits_and_hands_its_encoder_over(tmp_path: Path):
    data = build_digits(tmp_path / "digits", counts=dict(cls=(40, 20), det=(1, 1), seg=(1, 1)))
    changed = {f"{name}_dataloader.dataset.root": data / "cls" for name in ("train", "val", "test")}
    changed |= {"train_cfg.max_epochs": 2, "train_cfg.val_interval": 1, "default_hooks.checkpoint.interval": 1}
    changed |= {"param_scheduler": [], "train_dataloader.batch_size": 20}
    changed |= {"train_dataloader.num_workers": 0, "train_dataloader.persistent_workers": False}
    config = ROOT / "configs/pretrain/digits/mixmim_digits_mixmim.py"
    command = [sys.executable, "-m", "mixpro_bench", "pretrain", config, "--work-dir", tmp_path / "run"]
    done = subprocess.run(
        [*map(str, command), "--cfg-options", *(f"{key}={value}" for key, value in changed.items())],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["method"] == {"name": "mixmim", "preset": "mixmim"}
    assert set(record["metrics"]) == {"reconstruction"}
    assert 0 < record["metrics"]["reconstruction"] < 2
    checkpoint = next((tmp_path / "run").glob("epoch_2.pth"))
    for config in (dict(dense=True), dict(num_classes=3)):
        backbone = MixMIM("mixmim_test", **config)
        loaded = read(checkpoint, backbone)
        assert loaded.audit.share == 1.0
        assert loaded.audit.dropped > 20
        assert {n.split(".")[0] for n in loaded.state} == {"stem", "stages", "norm"}
        assert loaded.audit.upstream["method"] == "mixmim"
