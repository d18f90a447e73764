"""Another backbone in a config: what follows from it is changed with it, the rest stays."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mixpro_bench.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

# Of the backbone that was there: what it is used for, not what it is.
STAYS = ("num_classes", "dense", "init_cfg")


def put_backbone(cfg: Config, backbone: Mapping[str, Any], name: str) -> Config:
    """Return a config with another backbone.

    Args:
        cfg: Config of a pretraining or a transfer.
        backbone: Config of a `Backbone`, without what it is used for.
        name: How the backbone is called in ``bench`` and in the leaderboard.

    Returns:
        A copy, in which ``model.backbone``, the widths and strides that a `Pyramid` takes, and ``bench.backbone`` are
        those of the new one. A policy's ``mask_patch`` that would cut the new one's patches in two becomes the nearest
        that does not.

    Raises:
        UserError: If the config has no backbone.
    """
    cfg = copy.deepcopy(cfg)
    model = cfg.get("model")
    if not isinstance(model, Mapping) or not isinstance(model.get("backbone"), Mapping):
        raise UserError("the config has no model.backbone that another could replace")
    used_for = {key: model["backbone"][key] for key in STAYS if key in model["backbone"]}
    cfg.model["backbone"] = {**backbone, **used_for}
    built = _built(backbone)
    for pyramid in _pyramids(model):
        pyramid["in_channels"], pyramid["in_strides"] = list(built.out_channels), list(built.out_strides)
    policy = model.get("policy") or {}
    if policy.get("mask_patch"):
        policy["mask_patch"] = built.patch_size * max(1, round(policy["mask_patch"] / built.patch_size))
    # What the leaf config was composed of must not tell of the old one.
    for key in ("backbone", "pyramid"):
        cfg.pop(key, None)
    if "bench" in cfg:
        cfg.bench["backbone"] = name
    return cfg


def widths(backbone: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Return channels and strides of a backbone's feature maps."""
    built = _built(backbone)
    return list(built.out_channels), list(built.out_strides)


def _built(backbone: Mapping[str, Any]) -> Any:
    """Return the backbone in dense use, built without memory."""
    import torch

    from mixpro_bench.registry import MODELS

    with torch.device("meta"):
        return MODELS.build({**backbone, "dense": True})


def _pyramids(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        if str(value.get("type", "")).rsplit(".", 1)[-1] == "Pyramid":
            yield value
        for item in value.values():
            yield from _pyramids(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _pyramids(item)
