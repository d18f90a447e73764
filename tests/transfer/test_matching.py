"""The pure part of the handover."""

from __future__ import annotations

import pytest
import torch
from timm.layers import resample_abs_pos_embed

from mixpro_bench.errors import UserError
from mixpro_bench.transfer.matching import match, select_weights


def names(build):
    return set(build().state_dict())


def test_whole_backbone_matches_and_heads_stay_behind(pretrained, build):
    found = match(pretrained, build())
    assert set(found.state) == names(build)
    assert found.total == len(found.state)
    assert found.matched_elements == found.total_elements
    assert (found.missing, found.unexpected, found.resized) == ([], [], [])
    assert found.dropped == 3  # classifier weight and bias, the labeler's head


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.model.", "module.backbone.model.", "model.", "encoder."])
def test_prefixes(pretrained, build, prefix):
    inner = {name.removeprefix("backbone.model."): value for name, value in pretrained.items() if "labeler" not in name}
    found = match({prefix + name: value for name, value in inner.items()}, build())
    assert set(found.state) == names(build)
    assert found.unexpected == []


def test_missing_and_wrong_shapes_are_named(pretrained, build):
    source = dict(pretrained)
    del source["backbone.model.norm.bias"]
    source["backbone.model.norm.weight"] = torch.ones(7)
    found = match(source, build())
    assert found.missing == ["model.norm.weight (has 7, needs 32)", "model.norm.bias"] or set(found.missing) == {
        "model.norm.weight (has 7, needs 32)",
        "model.norm.bias",
    }
    assert len(found.state) == found.total - 2


def test_deeper_checkpoint_is_no_full_match(pretrained, build):
    found = match(pretrained, build(depth=2))
    assert len(found.unexpected) == 24  # two blocks of 12 tensors
    assert len(found.state) / found.total < 0.6


def test_positions_are_resampled_as_timm_does(pretrained, build):
    found = match(pretrained, build(img_size=96))
    expected = resample_abs_pos_embed(pretrained["backbone.model.pos_embed"], [24, 24], num_prefix_tokens=1)
    assert torch.equal(found.state["model.pos_embed"], expected)
    assert found.resized == ["model.pos_embed (1x65x32 to 1x577x32)"]
    assert found.missing == []


def test_positions_to_a_wide_grid(pretrained, build):
    found = match(pretrained, build(img_size=(48, 64)))
    expected = resample_abs_pos_embed(pretrained["backbone.model.pos_embed"], [12, 16], num_prefix_tokens=1)
    assert torch.equal(found.state["model.pos_embed"], expected)


def test_not_finite_is_refused(pretrained, build):
    source = {**pretrained, "backbone.model.norm.bias": torch.full((32,), float("nan"))}
    with pytest.raises(UserError, match=r"model\.norm\.bias is not finite"):
        match(source, build())


RAW, EMA = torch.zeros(1), torch.ones(1)


@pytest.mark.parametrize(
    "checkpoint",
    [
        # mmengine's EMAHook swaps the two.
        {"state_dict": {"w": EMA}, "ema_state_dict": {"module.w": RAW, "steps": torch.tensor(3)}},
        {"state_dict": {"w": RAW}, "state_dict_ema": {"w": EMA}},
        {"model": {"w": RAW}, "model_ema": {"w": EMA}},
    ],
)
def test_raw_and_ema(checkpoint):
    assert select_weights(checkpoint, "raw") == ({"w": RAW}, "raw")
    assert select_weights(checkpoint, "ema") == ({"w": EMA}, "ema")
    assert select_weights(checkpoint)[1] == "raw"
    wish = {**checkpoint, "meta": {"mixpro_bench": {"transfer_weights": "ema"}}}
    assert select_weights(wish) == ({"w": EMA}, "ema")


def test_bare_tensors_and_what_is_not_there():
    assert select_weights({"w": RAW}) == ({"w": RAW}, "raw")
    with pytest.raises(UserError, match="no ema weights"):
        select_weights({"state_dict": {"w": RAW}}, "ema")
    with pytest.raises(UserError, match="no raw weights"):
        select_weights({"epoch": 3})
    with pytest.raises(UserError, match="not one of auto, raw, ema"):
        select_weights({"w": RAW}, "best")
