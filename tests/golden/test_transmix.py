"""TransMix against numbers recorded from its authors' code."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mixpro_bench.backbones.contract import Output
from mixpro_bench.backbones.timm import TimmBackbone
from mixpro_bench.labeling import AreaLabel, TransMix
from mixpro_bench.labeling.labeler import attention_lambda, mix_targets
from mixpro_bench.mixing import BoxRegion, CutMix, MixedBatch, Mixup
from mixpro_bench.mixing.mixup import BoxDraws, boxes

FOLDER = Path(os.environ.get("MIXPRO_GOLDEN") or Path(__file__).parent)
CLOSE = dict(rtol=1e-5, atol=1e-5)


def fixtures(pattern: str) -> list:
    return [pytest.param(path, id=path.stem) for path in sorted(FOLDER.glob(pattern))]


def load(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def same(ours: torch.Tensor, recorded: torch.Tensor) -> None:
    assert torch.equal(ours, recorded.to(ours.dtype))


def close(ours: torch.Tensor, recorded: torch.Tensor, **tolerance: float) -> None:
    torch.testing.assert_close(ours.detach(), recorded.to(ours.dtype), **(tolerance or CLOSE))


def tiny_vit(data: dict[str, torch.Tensor], size: int, patch: int, classes: int, dim: int, depth: int, heads: int):
    sizes = dict(img_size=size, patch_size=patch, embed_dim=dim, depth=depth, num_heads=heads, mlp_ratio=2)
    backbone = TimmBackbone("vit_tiny_patch16_224", num_classes=classes, **sizes)
    weights = {k[2:]: v for k, v in data.items() if k.startswith("w:") and not k.startswith("w:token_head")}
    backbone.model.load_state_dict(weights, strict=True)
    return backbone.train()


def same_gradients(backbone: TimmBackbone, data: dict[str, torch.Tensor]) -> None:
    parameters = dict(backbone.model.named_parameters())
    recorded = {k[2:]: v for k, v in data.items() if k.startswith("g:") and not k.startswith("g:token_head")}
    assert recorded
    for name, gradient in recorded.items():
        close(parameters[name].grad, gradient)


def boxed(data: dict[str, torch.Tensor], size: int) -> MixedBatch:
    labels = data["targets"].long()
    partner = torch.arange(len(labels)).flip(0)
    region = BoxRegion(data["box"].long().expand(len(labels), 4), (size, size))
    return MixedBatch(None, labels, labels[partner], region.area(), partner, region, "cutmix")


def check_label(data, mixed, importance, classes, logits):
    smoothing, side = float(data["smoothing"]), importance.shape[1]
    same(1 - mixed.region.share(side, side, mode="nearest").flatten(1), data["mask_grid"].expand(len(logits), -1))
    close(1 - mixed.lam_area, data["lam_area_paste"].expand(len(logits)))
    lam_attention, stood_in = attention_lambda(importance, mixed, "nearest")
    close(1 - lam_attention, data["lam_attn_paste"])
    assert not stood_in.any()
    lam = (lam_attention + mixed.lam_area) / 2
    close(1 - lam, data["lam_final_paste"])
    close(mix_targets(mixed.labels_a, mixed.labels_b, lam, classes, smoothing), data["target"])
    losses, stats = TransMix(smoothing, downsample="nearest")(mixed, Output(logits, importance))
    close(losses["loss_cls"], data["loss"])
    close(stats["lam"], 1 - data["lam_final_paste"].mean())
    return losses["loss_cls"]


@pytest.mark.parametrize("path", fixtures("transmix_label_*.npz"))
def test_label(path):
    data = load(path)
    size, side, batch, classes, _ = data["cfg"].tolist()
    logits = data["logits"].clone().requires_grad_()
    loss = check_label(data, boxed(data, size), data["attn"].view(batch, side, side), classes, logits)
    loss.backward()
    close(logits.grad, data["grad_logits"])


@pytest.mark.parametrize("path", fixtures("transmix_e2e_*.npz"))
def test_end_to_end(path):
    data = load(path)
    size, patch, batch, classes, _, dim, depth, heads = data["cfg"].tolist()
    lam, (cy, cx) = float(data["lam_drawn"]), data["center_draws"].tolist()
    each = [np.full(batch, value) for value in (lam, cy, cx)]
    draws = BoxDraws(*each, np.arange(batch)[::-1])
    same(torch.from_numpy(boxes(draws, size, size)[0]), data["box"])
    mixed = CutMix(float(data["alpha"])).replay(data["images"], data["targets"].long(), draws)
    same(mixed.inputs, data["mixed"])
    close(mixed.lam_area, data["lam_area_keep"].expand(batch))
    area = mix_targets(mixed.labels_a, mixed.labels_b, mixed.lam_area, classes, float(data["smoothing"]))
    close(area, data["target_area_only"])
    backbone = tiny_vit(data, size, patch, classes, dim, depth, heads)
    out = backbone(mixed.inputs, need=TransMix().need)
    close(out.logits, data["logits"], rtol=1e-4, atol=1e-4)
    close(out.importance.flatten(1), data["attn"] / data["attn"].sum(dim=1, keepdim=True))
    out.logits.retain_grad()
    check_label(data, mixed, out.importance, classes, out.logits).backward()
    close(out.logits.grad, data["grad_logits"])
    same_gradients(backbone, data)


@pytest.mark.parametrize("path", fixtures("transmix_mixup_*.npz"))
def test_mixup_branch(path):
    data = load(path)
    _, batch, classes, _ = data["cfg"].tolist()
    lam = np.full(batch, float(data["lam_drawn"]))
    mixed = Mixup(float(data["alpha"])).replay(data["images"], data["targets"].long(), lam, np.arange(batch)[::-1])
    close(mixed.inputs, data["mixed"], rtol=1e-6, atol=1e-6)
    target = mix_targets(mixed.labels_a, mixed.labels_b, mixed.lam_area, classes, float(data["smoothing"]))
    close(target, data["target"])
    logits = torch.linspace(-1, 1, batch * classes).view(batch, classes)
    losses, _ = AreaLabel(float(data["smoothing"]))(mixed, Output(logits))
    close(losses["loss_cls"], -(data["target"] * logits.log_softmax(dim=1)).sum(dim=1).mean())
