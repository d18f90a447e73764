"""MixPro against numbers recorded from its authors' code: MaskMix, PAL, and one whole step of a tiny ViT."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recorded import close, fixtures, load, same

from mixpro_bench.backbones.contract import Need, Output
from mixpro_bench.backbones.timm import TimmBackbone
from mixpro_bench.labeling import PAL, AreaLabel
from mixpro_bench.labeling.labeler import attention_lambda, mix_targets
from mixpro_bench.labeling.pal import progressive_factor, progressive_lambda
from mixpro_bench.mixing import MaskMix
from mixpro_bench.mixing.maskmix import MaskMixDraws, grid_side, kept_cells


def long(x: torch.Tensor) -> torch.Tensor:
    return x.long()


def draws_of(data: dict[str, torch.Tensor]) -> MaskMixDraws:
    batch = len(data["perm"])
    lam = np.full(batch, data["lam_drawn"].item())
    return MaskMixDraws(lam, data["cell_perm"].long().numpy(), data["perm"].long().numpy())


def mixed_of(data: dict[str, torch.Tensor], area: str):
    size, mask_patch, _, batch = data["cfg"].tolist()[:4]
    images = data.get("images", torch.zeros(batch, 3, size, size))
    return MaskMix(mask_patch, float(data["alpha"]), area).replay(images, long(data["targets"]), draws_of(data))


@pytest.mark.parametrize("path", fixtures("mixpro_maskmix_*.npz"))
def test_maskmix(path):
    data = load(path)
    size, mask_patch, model_patch, _, classes, _ = data["cfg"].tolist()
    before = data["images"].clone()
    mixed = mixed_of(data, "count")
    side = grid_side(size, mask_patch)
    assert side == int(data["mask_num"])
    same(torch.from_numpy(kept_cells(draws_of(data), side, side)), data["mask_grid"])
    assert (data["mask_grid"].flatten(1).sum(1) == data["mask_count"]).all()
    same(mixed.inputs, data["mixed"])
    same(data["images"], before)
    same(mixed.region.share(size, size), data["mask_pixel"])
    tokens = size // model_patch
    same(mixed.region.share(tokens, tokens), data["mask_patch"])
    same(mixed.region.share(tokens, tokens, mode="nearest"), data["mask_patch"])
    same(mixed.partner, data["perm"])
    same(mixed.labels_b, data["targets"][long(data["perm"])])
    close(mixed.lam_area, data["lam_area"])
    close(mixed_of(data, "pixel").lam_area, data["lam_pixel_true"])
    labels = mix_targets(mixed.labels_a, mixed.labels_b, mixed.lam_area, classes, float(data["smoothing"]))
    close(labels, data["labels"])


@pytest.mark.parametrize("path", fixtures("mixpro_pal_*.npz"))
def test_pal(path):
    data = load(path)
    size, _, model_patch, batch, classes, _ = data["cfg"].tolist()
    smoothing, tokens = float(data["smoothing"]), size // model_patch
    mixed = mixed_of(data, "count")
    same(mixed.labels_b, data["flip_targets"])
    same(mixed.region.share(tokens, tokens).flatten(1), data["mask_patch_flat"])
    close(mixed.lam_area, data["lam_area"])

    importance = data["attn"].view(batch, tokens, tokens)
    target = mix_targets(mixed.labels_a, mixed.labels_b, mixed.lam_area, classes, smoothing)
    close(target, data["mix_targets"])
    lam_attention, stood_in = attention_lambda(importance, mixed)
    close(lam_attention, data["lam_attn"])
    assert not stood_in.any()
    factor = progressive_factor(data["logits"], target)
    close(factor, data["sim"])
    close(progressive_lambda(factor, lam_attention, mixed.lam_area), data["lam_final"])

    for detach, recorded in ((False, "grad_logits_official"), (True, "grad_logits_detached")):
        logits = data["logits"].clone().requires_grad_()
        losses, stats = PAL(smoothing, loss_smoothing=0.0, detach=detach)(mixed, Output(logits, importance))
        losses["loss_cls"].backward()
        close(losses["loss_cls"], data["loss"])
        close(logits.grad, data[recorded])
        close(stats["lam"], data["lam_final"].mean())

    logits = data["logits"].clone().requires_grad_()
    losses, _ = AreaLabel(smoothing)(mixed, Output(logits))
    losses["loss_cls"].backward()
    close(losses["loss_cls"], data["loss_area_soft"])
    close(logits.grad, data["grad_logits_area_soft"])


@pytest.mark.parametrize("path", fixtures("mixpro_e2e_*.npz"))
def test_end_to_end(path):
    data = load(path)
    size, _, patch, _, classes, _, dim, depth, heads = data["cfg"].tolist()
    backbone = TimmBackbone(
        "vit_tiny_patch16_224",
        num_classes=classes,
        img_size=size,
        patch_size=patch,
        embed_dim=dim,
        depth=depth,
        num_heads=heads,
        mlp_ratio=2,
    )
    backbone.model.load_state_dict({k[2:]: v for k, v in data.items() if k.startswith("w:")}, strict=True)
    backbone.train()
    mixed = mixed_of(data, "count")
    same(mixed.inputs, data["mixed"])
    label = PAL(float(data["smoothing"]), loss_smoothing=0.0, detach=False)
    out = backbone(mixed.inputs, need=label.need | Need(importance="cls"))
    close(out.logits, data["logits"], rtol=1e-4, atol=1e-4)
    row = data["attn"] / data["attn"].sum(dim=1, keepdim=True)
    close(out.importance.flatten(1), row)
    losses, stats = label(mixed, out)
    losses["loss_cls"].backward()
    close(losses["loss_cls"], data["loss"])
    close(stats["factor"], data["sim"].mean())
    parameters = dict(backbone.model.named_parameters())
    for name, recorded in ((k[2:], v) for k, v in data.items() if k.startswith("g:")):
        close(parameters[name].grad, recorded)
