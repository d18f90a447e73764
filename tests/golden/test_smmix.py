"""SMMix against numbers recorded from its authors' code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recorded import close, fixtures, load, same, same_gradients, tiny_vit

from mixpro_bench.backbones.contract import Need
from mixpro_bench.labeling import SMMixLabel
from mixpro_bench.labeling.labeler import mix_targets, smooth_one_hot
from mixpro_bench.labeling.smmix import blend_predictions, pool_tokens
from mixpro_bench.mixing import SMMix
from mixpro_bench.mixing.smmix import SMMixDraws, extreme_windows, window_sums


def window_tokens(corner: torch.Tensor, rect: int, side: int) -> torch.Tensor:
    steps = torch.arange(rect)
    rows, columns = corner[:, 0, None, None] + steps[:, None], corner[:, 1, None, None] + steps
    return (rows * side + columns).flatten(1)


def check_mix(data, importance, rect, side, labels):
    batch = len(importance)
    draws = SMMixDraws(np.full(batch, rect), np.arange(batch)[::-1])
    close(window_sums(importance, rect).flatten(1), data["rectangle_attn"])
    least, most = extreme_windows(importance, draws.side)
    across = side - rect + 1
    same(least[:, 0] * across + least[:, 1], data["min_region_pos"])
    same(most[:, 0] * across + most[:, 1], data["max_region_pos"])
    same(window_tokens(least, rect, side), data["min_region_tokens"])
    same(window_tokens(most, rect, side), data["max_region_tokens"])
    mixed = SMMix().replay(data["images"], labels, importance, draws)
    same(mixed.inputs, data["mixed"])
    share = mixed.region.share(side, side).flatten(1)
    same(share, data["target_mask"])
    same(1 - share, data["source_mask"])
    close(mixed.lam_area, data["lam_target"].expand(batch))
    return mixed


@pytest.mark.parametrize("path", fixtures("smmix_region_*.npz"))
def test_region(path):
    data = load(path)
    _, side, batch, rect, _ = data["cfg"].tolist()
    check_mix(data, data["attn"].view(batch, side, side), rect, side, torch.zeros(batch, dtype=torch.long))


@pytest.mark.parametrize("path", fixtures("smmix_e2e_*.npz"))
def test_end_to_end(path):
    data = load(path)
    size, patch, side, batch, classes, _, dim, depth, heads = data["cfg"].tolist()
    smoothing, rect = float(data["smoothing"]), int(data["rect"][0])
    low, high = SMMix().sides(side)
    same(torch.arange(low, high + 1)[[0, -1]], data["rect_sides"][[0, -1]])
    backbone = tiny_vit(data, size, patch, classes, dim, depth, heads)
    label = SMMixLabel(smoothing)
    label.setup(dim, classes)
    label.token_head.load_state_dict({k: data[f"w:token_head.{k}"] for k in ("weight", "bias")})

    backbone.eval()
    with torch.no_grad():
        unmixed = backbone(data["images"], need=SMMix().needs_unmixed | label.needs_unmixed)
    backbone.train()
    close(unmixed.logits, data["unmixed_logits"], rtol=1e-4, atol=1e-4)
    recorded = data["attn"].view(batch, side, side)
    close(unmixed.importance, recorded / recorded.sum(dim=(1, 2), keepdim=True))
    mixed = check_mix(data, recorded, rect, side, data["targets"].long())
    ours = SMMix().replay(
        data["images"],
        data["targets"].long(),
        unmixed.importance,
        SMMixDraws(np.full(batch, rect), np.arange(batch)[::-1]),
    )
    same(ours.inputs, data["mixed"])

    target = mix_targets(mixed.labels_a, mixed.labels_b, mixed.lam_area, classes, smoothing)
    close(target, data["mixed_target"])
    close(smooth_one_hot(mixed.labels_a, classes, smoothing), data["target_target"])
    close(smooth_one_hot(mixed.labels_b, classes, smoothing), data["source_target"])
    blend = blend_predictions(unmixed.logits, mixed.partner, mixed.lam_area, "logits")
    close(blend, data["mixed_prediction"].softmax(dim=1))

    out = backbone(mixed.inputs, need=label.need | Need())
    close(out.logits, data["logits"], rtol=1e-4, atol=1e-4)
    share = mixed.region.share(side, side)
    close(label.token_head(pool_tokens(out.tokens, share)), data["target_logits"], rtol=1e-4, atol=1e-4)
    close(label.token_head(pool_tokens(out.tokens, 1 - share)), data["source_logits"], rtol=1e-4, atol=1e-4)
    losses, _ = label(mixed, out, unmixed)
    close(losses["loss_cls"], data["loss_cls"])
    close(losses["loss_fine"], data["loss_fine"])
    close(losses["loss_consistency"], data["loss_con"])
    total = sum(losses.values())
    close(total, data["loss"])
    total.backward()
    same_gradients(backbone, data)
    close(label.token_head.weight.grad, data["g:token_head.weight"])
    close(label.token_head.bias.grad, data["g:token_head.bias"])
