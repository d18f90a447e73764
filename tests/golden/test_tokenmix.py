"""TokenMix against numbers recorded from its authors' code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recorded import close, fixtures, load, same

from mixpro_bench.backbones.contract import Output
from mixpro_bench.datasets.teacher_maps import class_scores
from mixpro_bench.labeling import TokenMixLabel
from mixpro_bench.labeling.teacher import class_map, crop_map
from mixpro_bench.labeling.tokenmix import normalise_map, released_target
from mixpro_bench.mixing import TokenMix
from mixpro_bench.mixing.tokenmix import TokenMixDraws, block_mask, random_mask, taken_tokens


def replayed(kinds: torch.Tensor, low: torch.Tensor, high: torch.Tensor, values: torch.Tensor):
    """Return both drawing functions; they hand out the recorded draws and check that they are asked the same."""
    draws = iter(list(zip(kinds.tolist(), low.tolist(), high.tolist(), values.tolist(), strict=True)))

    def draw(kind, lo, hi):
        recorded, recorded_lo, recorded_hi, value = next(draws)
        assert kind == recorded
        assert (lo, hi) == pytest.approx((recorded_lo, recorded_hi), rel=1e-6)
        return value

    return lambda lo, hi: draw(0, lo, hi), lambda lo, hi: int(draw(1, lo, hi)), draws


@pytest.mark.parametrize("path", fixtures("tokenmix_block_masks.npz"))
def test_block_masks(path):
    data = load(path)
    edges = data["draw_offset"].tolist()
    for i, recorded in enumerate(data["masks"]):
        part = slice(edges[i], edges[i + 1])
        uniform, integer, rest = replayed(*(data[f"draw_{k}"][part] for k in ("kind", "lo", "hi", "value")))
        target = taken_tokens(196, float(f"{data['lam_in'][i].item():.6g}"), int(data["mask_token_num_start"][i]))
        mask = torch.from_numpy(block_mask(14, 14, target, uniform, integer, int(data["min_num_patches"][i])))
        same(mask, recorded)
        assert next(rest, None) is None
        close(1 - mask.float().mean(), data["lam_out"][i])


@pytest.mark.parametrize("path", fixtures("tokenmix_random_masks.npz"))
def test_random_masks(path):
    data = load(path)
    for i, recorded in enumerate(data["masks"]):
        target = taken_tokens(196, float(f"{data['lam_in'][i].item():.6g}"), int(data["mask_token_num_start"][i]))
        mask = torch.from_numpy(random_mask(14, 14, target, data["perm"][i].long().numpy()))
        same(mask, recorded)
        close(1 - mask.float().mean(), data["lam_out"][i])


@pytest.mark.parametrize("path", fixtures("tokenmix_full_*.npz") + fixtures("tokenmix_label_*.npz"))
def test_mix_label_and_losses(path):
    data = load(path)
    size, side, batch, classes, _, _, _, extra = data["cfg"].tolist()
    smoothing, target = float(data["smoothing"]), taken_tokens(side**2, 0.5, extra)
    if "perm" in data:
        mask = random_mask(side, side, target, data["perm"].long().numpy())
    else:
        uniform, integer, rest = replayed(*(data[f"draw_{k}"] for k in ("kind", "lo", "hi", "value")))
        mask = block_mask(side, side, target, uniform, integer)
        assert next(rest, None) is None
    same(torch.from_numpy(mask), data["mask"])

    stored = data["score_maps"]
    labels = stored[:, 2, 0, 0, 5].long()
    own = crop_map(class_map(stored[:, 0], stored[:, 1], labels), stored[:, 2, 0, 0, :4], side, swapped=True)
    close(own, data["label_map"][torch.arange(batch), labels])
    own = normalise_map(own)
    close(own, data["y1_nonmask"])

    images = data.get("images", torch.zeros(batch, 3, size, size))
    draws = TokenMixDraws(np.repeat(mask[None], batch, axis=0), np.arange(batch)[::-1])
    mixed = TokenMix(patch=size // side).replay(images, labels, draws, {"teacher": own})
    if "mixed" in data:
        same(mixed.inputs, data["mixed"])
    close(mixed.lam_area, data["lam_out"].expand(batch))
    label = TokenMixLabel(smoothing, normalise=False, loss="bce")
    score_a, score_b = label.scores(mixed)
    close(score_a, data["y1_sum"])
    close(score_b, data["y2_sum"])
    close(score_a - smoothing / 2 + smoothing / classes / 2, data["on_value1"])
    close(score_b - smoothing / 2 + smoothing / classes / 2, data["on_value2"])
    close(released_target(score_a, score_b, labels, mixed.labels_b, classes, smoothing), data["target"])
    for loss in ("bce", "ce"):
        logits = data["logits"].clone().requires_grad_()
        losses, _ = TokenMixLabel(smoothing, normalise=False, loss=loss)(mixed, Output(logits))
        losses["loss_cls"].backward()
        close(losses["loss_cls"], data[f"loss_{loss}"])
        close(logits.grad, data[f"grad_logits_{loss}"])


@pytest.mark.parametrize("path", fixtures("tokenmix_full_*.npz") + fixtures("tokenmix_label_*.npz"))
def test_stored_maps_of_a_batch(path):
    """The whole way of a stored map: own class on the CPU, as a data set hands it out, then the crop on the device."""
    data = load(path)
    size, side, batch, _, _, _, _, _ = data["cfg"].tolist()
    stored = data["score_maps"]
    labels = stored[:, 2, 0, 0, 5].long()
    own = [class_scores(s[0].numpy(), s[1].numpy(), int(y)) for s, y in zip(stored, labels, strict=True)]
    aux = {"teacher_map": torch.from_numpy(np.stack(own)), "teacher_crop": stored[:, 2, 0, 0, :4]}
    label = TokenMixLabel(normalise=False, loss="bce", axes="swapped")
    label.patch_size = size // side
    maps = label.prepare(torch.zeros(batch, 3, size, size), labels, aux)["teacher"]
    close(maps, data["label_map"][torch.arange(batch), labels])
    close(normalise_map(maps), data["y1_nonmask"])
