"""TransMix against numbers recorded from its authors' code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recorded import close, fixtures, load, same, same_gradients, tiny_vit

from mixpro_bench.backbones.contract import Output
from mixpro_bench.labeling import AreaLabel, TransMix
from mixpro_bench.labeling.labeler import attention_lambda, mix_targets
from mixpro_bench.mixing import BoxRegion, CutMix, MixedBatch, Mixup
from mixpro_bench.mixing.mixup import BoxDraws, boxes


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
