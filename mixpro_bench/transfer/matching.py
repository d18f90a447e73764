"""The pure part of the handover: which weights of a checkpoint go where in a backbone."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from timm.layers import resample_abs_pos_embed, resample_patch_embed
from torch import Tensor, nn

from mixpro_bench.errors import UserError
from mixpro_bench.transfer.origin import EMA_KEYS, RAW_KEYS, Weights, choose, only_weights

# What training adds to a backbone and a transfer has no use for: the first part of a name behind the backbone's prefix.
LEFT_BEHIND = ("head", "head1", "head_dist", "head_drop", "token_head", "mask_token", "classifier", "fc_cls")
# A checkpoint of this package, of DDP around it, of timm.
PREFIXES = ("backbone.", "module.backbone.", "", "module.", "encoder.")


@dataclass(frozen=True)
class Match:
    """Weights that fit a backbone, and the account of those that do not; see `LoadAudit` for the fields."""

    state: dict[str, Tensor] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    dropped: int = 0
    resized: list[str] = field(default_factory=list)
    total: int = 0
    matched_elements: int = 0
    total_elements: int = 0


def select_weights(checkpoint: Mapping, weights: Weights = "auto") -> tuple[dict[str, Tensor], str]:
    """Choose the raw or the averaged (EMA) weights of a checkpoint.

    mmengine's EMAHook swaps the two on saving: beside an ``ema_state_dict``, ``state_dict`` *is* the average and the
    raw weights lie in ``ema_state_dict`` under ``module.`` (mmengine/hooks/ema_hook.py, ``_swap_ema_state_dict``).
    timm writes ``state_dict`` and ``state_dict_ema``, DeiT ``model`` and ``model_ema``, both unswapped. `choose` says
    what ``auto`` takes.

    Args:
        checkpoint: Content of the file, or a bare mapping from names to tensors.
        weights: ``"raw"``, ``"ema"`` or ``"auto"``.

    Returns:
        Names and tensors, and the kind that was chosen.

    Raises:
        UserError: If the weights asked for are not in the checkpoint.
    """
    weights, _ = choose(checkpoint, weights)
    both: dict[str, Mapping | None]
    if (only := only_weights(checkpoint)) is not None:
        both = {"raw": None, "ema": None, only: checkpoint["state_dict"]}
    elif isinstance(checkpoint.get("ema_state_dict"), Mapping):
        both = {"ema": checkpoint["state_dict"], "raw": _averaged_model(checkpoint["ema_state_dict"])}
    else:
        both = {
            "raw": _first(checkpoint, *RAW_KEYS),
            "ema": _first(checkpoint, *EMA_KEYS),
        }
        if both["raw"] is None and all(isinstance(value, Tensor) for value in checkpoint.values()):
            both["raw"] = checkpoint
    chosen = both[weights]
    tensors = {name: value for name, value in (chosen or {}).items() if isinstance(value, Tensor)}
    if not tensors:
        has = ", ".join(sorted(map(str, checkpoint))[:8]) or "nothing"
        raise UserError(
            f"the checkpoint holds no {weights} weights (its top-level keys: {has}); "
            "give a checkpoint of a pretraining run, or choose weights='raw' or 'ema' in init_cfg"
        )
    return tensors, weights


def match(source: Mapping[str, Tensor], backbone: nn.Module, *, resize_patch: bool = False) -> Match:
    """Fit pretrained weights to a backbone.

    The prefix under which the backbone lies in ``source`` is found by trying the known ones. Everything outside the
    prefix, and classifier heads inside it, is left behind. Position embeddings are resampled when the token grid
    differs, bicubically. Names of the original Swin, PVTv2 and XCiT codes become timm's. A wrong shape counts as
    missing.

    Args:
        source: Names and tensors of a checkpoint.
        backbone: The module to be filled; it is not changed.
        resize_patch: Resample the kernel that cuts images into patches to another patch size, instead of refusing
            (timm's ``resample_patch_embed``, after FlexiViT, which keeps the response to resized patches).

    Raises:
        UserError: If a weight is not finite, since that pretraining diverged; or if the patch sizes differ and
            ``resize_patch`` is off.
    """
    wanted = {name: value for name, value in backbone.state_dict().items() if not left_behind(name)}
    inside, outside = _inside(source, wanted)
    inside = _renamed(inside, backbone)
    state, missing, resized = {}, [], []
    matched_elements, total_elements = 0, 0
    for name, target in wanted.items():
        total_elements += target.numel()
        value = inside.get(name)
        if value is None:
            missing.append(name)
            continue
        if value.shape != target.shape:
            fitted = _resample(name, value, target, backbone)
            if fitted is None and _is_other_patch(name, value, target):
                if not resize_patch:
                    raise UserError(_other_patch(value, target))
                fitted = resample_patch_embed(value, list(target.shape[-2:]))
            if fitted is None:
                missing.append(f"{name} (has {_size(value)}, needs {_size(target)})")
                continue
            resized.append(f"{name} ({_size(value)} to {_size(target)})")
            value = fitted
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise UserError(f"{name} is not finite: that pretraining diverged; choose another checkpoint")
        state[name] = value
        matched_elements += target.numel()
    extra = [name for name in inside if name not in wanted]
    unexpected = [name for name in extra if not left_behind(name)]
    return Match(
        state=state,
        missing=missing,
        unexpected=unexpected,
        dropped=outside + len(extra) - len(unexpected),
        resized=resized,
        total=len(wanted) + len(unexpected),
        matched_elements=matched_elements,
        total_elements=total_elements + sum(inside[name].numel() for name in unexpected),
    )


def _inside(source: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """Return the source's backbone under the names of ``wanted``, and how many tensors lie outside of it."""
    # Our backbones keep a library's model under ``model.``; that library's own files do not.
    inner = "model." if wanted and all(name.startswith("model.") for name in wanted) else ""
    best: dict[str, Tensor] = {}
    best_hits = -1
    for prefix in PREFIXES:
        for add in dict.fromkeys(("", inner)):
            found = {add + name[len(prefix) :]: value for name, value in source.items() if name.startswith(prefix)}
            hits = sum(name in wanted for name in found)
            if hits > best_hits:
                best, best_hits = found, hits
    return best, len(source) - len(best)


# A name by which an original code's layout is recognised -> where timm keeps the function that renames it.
_ORIGINAL = {
    "layers.0.downsample.reduction.weight": "swin_transformer",
    "patch_embed1.proj.weight": "pvt_v2",
    "cls_attn_blocks.0.attn.qkv.weight": "xcit",
}


def _renamed(inside: dict[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Give tensors of an original code timm's names, by timm's own rules."""
    model = getattr(backbone, "model", None)
    family = type(model).__module__.rsplit(".", 1)[-1]
    plain = {name.removeprefix("model."): value for name, value in inside.items()}
    if not any(mark in plain and family == where for mark, where in _ORIGINAL.items()):
        return inside
    module = importlib.import_module(type(model).__module__)
    return {f"model.{name}": value for name, value in module.checkpoint_filter_fn(plain, model).items()}


def _is_other_patch(name: str, value: Tensor, target: Tensor) -> bool:
    """Tell whether two shapes are those of the same first convolution with patches of different size."""
    return (
        name.removeprefix("model.") == "patch_embed.proj.weight"
        and value.ndim == target.ndim == 4
        and value.shape[:2] == target.shape[:2]
    )


def _other_patch(value: Tensor, target: Tensor) -> str:
    has, needs = ("x".join(map(str, tensor.shape[-2:])) for tensor in (value, target))
    return (
        f"its backbone was pretrained with patches of {has} pixels, this one cuts patches of {needs}: set "
        f"model.backbone.patch_size={value.shape[-1]}, or have the kernel resampled with "
        "model.backbone.init_cfg.resize_patch=True, knowing that this changes the pretrained network"
    )


def left_behind(name: str) -> bool:
    """Tell whether a backbone's tensor is a head of pretraining, which a transfer has no use for."""
    return name.removeprefix("model.").split(".")[0] in LEFT_BEHIND


def _resample(name: str, value: Tensor, target: Tensor, backbone: nn.Module) -> Tensor | None:
    """Resample a position embedding (1, prefix + h * w, C) of a square grid; None where that makes no sense."""
    if not {"pos_embed", "patch_pos"} & set(name.split(".")) or value.ndim != 3 or target.ndim != 3:
        return None
    if value.shape[-1] != target.shape[-1]:
        return None
    model = getattr(backbone, "model", backbone)
    whole = name.removeprefix("model.") in ("pos_embed", "patch_pos")
    prefix = 0 if not whole or getattr(model, "no_embed_class", False) else getattr(model, "num_prefix_tokens", 0)
    grid = tuple(getattr(getattr(model, "patch_embed", None), "grid_size", ())) if whole else ()
    if math.prod(grid or (0,)) != target.shape[1] - prefix:
        grid = _square(target.shape[1] - prefix)
    if not grid or not _square(value.shape[1] - prefix):
        return None
    return resample_abs_pos_embed(value, list(grid), num_prefix_tokens=prefix)


def _square(tokens: int) -> tuple[int, ...]:
    side = math.isqrt(max(tokens, 0))
    return (side, side) if side and side * side == tokens else ()


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _averaged_model(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("module."): value for name, value in state.items() if name.startswith("module.")}


def _first(checkpoint: Mapping, *keys: str) -> Mapping | None:
    return next((checkpoint[key] for key in keys if isinstance(checkpoint.get(key), Mapping)), None)
