"""Whose code wrote a checkpoint, and whether its raw or its averaged (EMA) weights are the method's result.

The released codes do not agree on what they report, and one of them saves an average that was never updated. So the
rule is per method, in one table, `ORIGINS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from mixpro_bench.errors import UserError

Weights = Literal["auto", "raw", "ema"]

# Preset under which weights of a released code stand in Records: what they were trained with is not known in detail.
RELEASED = "released"
EMA_KEYS = ("state_dict_ema", "model_ema")
RAW_KEYS = ("state_dict", "model", "module")


@dataclass(frozen=True)
class Origin:
    """A released code, and which of its weights count.

    Attributes:
        method: Name of the method, as in our presets.
        code: Repository.
        weights: What ``weights='auto'`` takes: ``"raw"``, or ``"ema"`` where the checkpoint has it.
        reason: Why, with the source.
        ema_is_void: The averaged weights in its checkpoints are not the result of any training.
        wrote: Tells by the checkpoint's arguments and tensor names whether this code wrote it.
    """

    method: str
    code: str
    weights: Literal["raw", "ema"]
    reason: str
    wrote: Callable[[Mapping, Mapping[str, Tensor]], bool]
    ema_is_void: bool = False


def _wrote_mixpro(args: Mapping, names: Mapping) -> bool:
    aug = args.get("AUG")
    if isinstance(aug, Mapping) and "MASKMIX_PROB" in aug:
        return bool(aug["MASKMIX_PROB"])
    # models/vit.py has a second classifier and a mask token that nothing uses.
    return "mask_token" in names and "head1.weight" in names


ORIGINS = (
    Origin(
        "mixpro",
        "fistyee/MixPro",
        "raw",
        "its training keeps no average (main.py)",
        _wrote_mixpro,
    ),
    Origin(
        "smmix",
        "ChenMnZ/SMMix",
        "raw",
        "its average is created and saved but never updated (engine.py), so it is the initialisation",
        lambda args, names: "token_head.weight" in names or "max_side_ratio" in args,
        ema_is_void=True,
    ),
    Origin(
        "transmix",
        "Beckschen/TransMix",
        "ema",
        "the accuracy it reports is the average's (train.py overwrites the raw model's)",
        lambda args, names: bool(args.get("transmix")),
    ),
    Origin(
        "tl-align",
        "Euphoria16/TL-Align",
        "raw",
        "its recipe keeps no average (main_tla.py: model_ema=False)",
        lambda args, names: bool(args.get("tl_align")),
    ),
    Origin(
        "tokenmix",
        "Sense-X/TokenMix",
        "ema",
        "it reports the better of both (main.py) without saving which; after 310 epochs that is usually the average",
        lambda args, names: {"label_dir", "mask_type"} <= args.keys(),
    ),
)


def origin_of(checkpoint: Mapping) -> Origin | None:
    """Return the released code that wrote a checkpoint, None if it is ours or cannot be told."""
    if "mixpro_bench" in (checkpoint.get("meta") or ()):
        return None
    names = next((checkpoint[key] for key in RAW_KEYS if isinstance(checkpoint.get(key), Mapping)), checkpoint)
    names = {str(name).removeprefix("module."): None for name in names}
    args: Mapping = next(
        (checkpoint[key] for key in ("args", "config") if isinstance(checkpoint.get(key), Mapping)), {}
    )
    return next((origin for origin in ORIGINS if origin.wrote(args, names)), None)


def upstream_of(checkpoint: Mapping) -> dict:
    """Return what is known of the run that wrote a checkpoint, empty if nothing is.

    Our own checkpoints say it in ``meta['mixpro_bench']`` (as JSON text in safetensors, which holds text only).
    """
    meta = checkpoint.get("meta")
    told = meta.get("mixpro_bench") if isinstance(meta, Mapping) else None
    if isinstance(told, str):
        try:
            told = json.loads(told)
        except ValueError:
            told = None
    if isinstance(told, Mapping):
        return dict(told)
    origin = origin_of(checkpoint)
    return dict(method=origin.method, preset=RELEASED, code=origin.code) if origin else {}


def only_weights(checkpoint: Mapping) -> Literal["raw", "ema"] | None:
    """Return which weights an exported or imported file holds, since it holds one kind only; None for other files."""
    meta = checkpoint.get("meta")
    told = meta.get("only_weights") if isinstance(meta, Mapping) else None
    return told if told in ("raw", "ema") else None


def choose(checkpoint: Mapping, weights: Weights = "auto") -> tuple[Literal["raw", "ema"], str]:
    """Settle which weights of a checkpoint are taken.

    Args:
        checkpoint: Content of the file.
        weights: ``"raw"``, ``"ema"``, or ``"auto"``: what our pretraining run asks for in
            ``meta['mixpro_bench']['transfer_weights']``, what `ORIGINS` says of a released code, the only ones of an
            exported file, else raw.

    Returns:
        ``"raw"`` or ``"ema"``, and the reason as a clause.

    Raises:
        UserError: If ``weights`` is none of the three, or asks for an average that is void.
    """
    if weights not in ("auto", "raw", "ema"):
        raise UserError(f"Handover weights={weights!r} is not one of auto, raw, ema")
    origin = origin_of(checkpoint)
    if weights == "ema" and origin is not None and origin.ema_is_void:
        raise UserError(f"the EMA weights of {origin.code} are never to be used: {origin.reason}; use weights='raw'")
    only = only_weights(checkpoint)
    if only is not None and weights in ("auto", only):
        return only, "the file holds no others"
    if weights != "auto":
        return weights, "asked for"
    if origin is not None:
        has_ema = any(isinstance(checkpoint.get(key), Mapping) for key in EMA_KEYS)
        if origin.weights == "ema" and not has_ema:
            return "raw", f"a {origin.method} checkpoint without averaged weights"
        return origin.weights, f"{origin.code}: {origin.reason}"
    told = upstream_of(checkpoint).get("transfer_weights")
    if told not in (None, "raw", "ema"):
        raise UserError(f"the checkpoint's meta asks for {told!r} weights, which is not one of raw, ema")
    return told or "raw", "the pretraining run asks for them" if told else "the usual choice"
