"""TL-Align against numbers recorded from its authors' code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recorded import close, fixtures, load, same, same_gradients, tiny_vit

from mixpro_bench.backbones.contract import Output
from mixpro_bench.labeling import TLAlign
from mixpro_bench.labeling.labeler import mix_targets, smooth_one_hot
from mixpro_bench.mixing import TokenCutMix
from mixpro_bench.mixing.mixup import BoxDraws, boxes
from mixpro_bench.mixing.policy import share_of


def check_mix(data: dict[str, torch.Tensor]):
    size, patch, batch, classes = data["cfg"].tolist()[:4]
    lam, (cy, cx) = float(data["lam_drawn"]), data["center_draws"].tolist()
    draws = BoxDraws(*(np.full(batch, value) for value in (lam, cy, cx)), np.arange(batch)[::-1])
    side, smoothing = size // patch, float(data["smoothing"])
    same(torch.from_numpy(boxes(draws, side, side)[0]), data["box"])
    mixed = TokenCutMix(patch, float(data["alpha"])).replay(data["images"], data["targets"].long(), draws)
    same(mixed.inputs, data["mixed"])
    share = mixed.region.share(side, side).flatten(1)
    same(1 - share, data["token_mask"].expand(batch, -1))
    close(mixed.lam_area, data["lam_area"].expand(batch))
    # The label matrix that the released code propagates, and the share that stands for it.
    a, b = (smooth_one_hot(y, classes, smoothing)[:, None] for y in (mixed.labels_a, mixed.labels_b))
    weight = torch.cat((mixed.lam_area[:, None], share), dim=1)[..., None]
    close(weight * a + (1 - weight) * b, data["token_labels_in"])
    return mixed


@pytest.mark.parametrize("path", fixtures("tlalign_mix_*.npz"))
def test_mix(path):
    check_mix(load(path))


@pytest.mark.parametrize("path", fixtures("tlalign_vit_*.npz"))
def test_end_to_end(path):
    data = load(path)
    size, patch, _, classes, _, dim, depth, heads = data["cfg"].tolist()
    mixed = check_mix(data)
    backbone = tiny_vit(data, size, patch, classes, dim, depth, heads)
    label = TLAlign(float(data["smoothing"]))
    out: Output = backbone(mixed.inputs, need=label.need, share=share_of(mixed))
    close(out.logits, data["logits"], rtol=1e-4, atol=1e-4)
    target = mix_targets(mixed.labels_a, mixed.labels_b, out.share, classes, label.smoothing)
    close(target, data["label_final"])
    close(target, data["labels_layers"][-1][:, 0])
    losses, _ = label(mixed, out)
    losses["loss_cls"].backward()
    close(losses["loss_cls"], data["loss"])
    same_gradients(backbone, data)
