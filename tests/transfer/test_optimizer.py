"""Parameter groups: exact membership, the same for pretraining and transfer."""

from __future__ import annotations

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from mixpro_bench.errors import UserError


class Model(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.norm = nn.GroupNorm(2, 4)
        self.conv = nn.Conv2d(4, 4, 1)
        self.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)


def groups_of(model, **paramwise):
    cfg = dict(
        type="OptimWrapper",
        constructor="mixpro_bench.ParamGroups",
        optimizer=dict(type="AdamW", lr=0.01, weight_decay=0.05),
        **({"paramwise_cfg": paramwise} if paramwise else {}),
    )
    return build_optim_wrapper(model, cfg).optimizer.param_groups


@pytest.mark.parametrize("dense", [True, False])
def test_membership(build, dense):
    model = Model(build(dense=dense, depth=1, num_classes=3))
    groups = {group["name"]: group for group in groups_of(model)}
    block = "backbone.model.blocks.0."
    weights = {block + f"{layer}.weight" for layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")}
    weights |= {"backbone.model.patch_embed.proj.weight", "conv.weight"}
    weights |= set() if dense else {"backbone.model.head.weight"}
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert set(groups["decay"]["param_names"]) == weights
    assert set(groups["no_decay"]["param_names"]) == trainable - weights
    assert {"backbone.model.pos_embed", "backbone.model.cls_token", "norm.weight"} <= trainable - weights
    assert (groups["decay"]["weight_decay"], groups["no_decay"]["weight_decay"]) == (0.05, 0.0)
    parameters = dict(model.named_parameters())
    for group in groups.values():
        assert all(p is parameters[name] for p, name in zip(group["params"], group["param_names"], strict=True))


@pytest.mark.parametrize("dense", [True, False])
def test_layer_decay(build, dense):
    model = Model(build(depth=4, dense=dense))
    rate = {name: g["lr"] for g in groups_of(model, layer_decay=0.5) for name in g["param_names"]}
    assert rate["conv.weight"] == rate["norm.bias"] == rate.get("backbone.model.head.weight", 0.01) == 0.01
    assert rate["backbone.model.blocks.3.attn.qkv.weight"] == rate["backbone.model.norm.weight"] == 0.01 * 0.5
    assert rate["backbone.model.blocks.0.attn.qkv.weight"] == 0.01 * 0.5**4
    assert rate["backbone.model.patch_embed.proj.weight"] == rate["backbone.model.pos_embed"] == 0.01 * 0.5**5


def test_unknown_key_is_refused(build):
    with pytest.raises(UserError, match="unknown key 'custom_keys'"):
        groups_of(Model(build(depth=1)), custom_keys={})
    with pytest.raises(UserError, match=r"not in \(0, 1\]"):
        groups_of(Model(build(depth=1)), layer_decay=1.5)


@pytest.mark.parametrize("scope", ["mmdet", "mmseg"])
@pytest.mark.mm
def test_found_from_other_scopes(build, scope):
    from mmengine.registry import init_default_scope

    from mixpro_bench.compat import install

    install()
    init_default_scope(scope)
    try:
        assert groups_of(Model(build(depth=1)))
    finally:
        DefaultScope._instance_dict.popitem()
