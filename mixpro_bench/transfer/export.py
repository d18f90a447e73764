"""Checkpoints for other libraries, and back.

``timm``: the names timm gives, classifier included. ``mmseg-vit``: those of mmseg's own ``VisionTransformer``
(mmseg/models/backbones/vit.py), for plain ViTs. ``safetensors``: our names in that container.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mixpro_bench.compat.checkpoint import load_checkpoint, save_checkpoint, sha256_file
from mixpro_bench.errors import UserError
from mixpro_bench.transfer.card import ModelCard, card_of, card_path, read_card, write_card
from mixpro_bench.transfer.matching import left_behind, select_weights
from mixpro_bench.transfer.origin import Weights, upstream_of

Format = Literal["timm", "mmseg-vit", "safetensors"]
# What a file of a format may be called.
ENDINGS: dict[str, tuple[str, ...]] = {
    "timm": (".pth", ".safetensors"),
    "mmseg-vit": (".pth",),
    "safetensors": (".safetensors",),
}
INNER = "backbone.model."
OURS = "backbone."

# timm's ViT -> mmseg's VisionTransformer.
_TO_MMSEG = (
    (r"(cls_token|pos_embed)", r"\1"),
    (r"patch_embed\.proj\.(\w+)", r"patch_embed.projection.\1"),
    (r"blocks\.(\d+)\.norm([12])\.(\w+)", r"layers.\1.ln\2.\3"),
    (r"blocks\.(\d+)\.attn\.qkv\.(\w+)", r"layers.\1.attn.attn.in_proj_\2"),
    (r"blocks\.(\d+)\.attn\.proj\.(\w+)", r"layers.\1.attn.attn.out_proj.\2"),
    (r"blocks\.(\d+)\.mlp\.fc1\.(\w+)", r"layers.\1.ffn.layers.0.0.\2"),
    (r"blocks\.(\d+)\.mlp\.fc2\.(\w+)", r"layers.\1.ffn.layers.1.\2"),
    (r"norm\.(\w+)", r"ln1.\1"),
)
_FROM_MMSEG = (
    (r"(cls_token|pos_embed)", r"\1"),
    (r"patch_embed\.projection\.(\w+)", r"patch_embed.proj.\1"),
    (r"layers\.(\d+)\.ln([12])\.(\w+)", r"blocks.\1.norm\2.\3"),
    (r"layers\.(\d+)\.attn\.attn\.in_proj_(\w+)", r"blocks.\1.attn.qkv.\2"),
    (r"layers\.(\d+)\.attn\.attn\.out_proj\.(\w+)", r"blocks.\1.attn.proj.\2"),
    (r"layers\.(\d+)\.ffn\.layers\.0\.0\.(\w+)", r"blocks.\1.mlp.fc1.\2"),
    (r"layers\.(\d+)\.ffn\.layers\.1\.(\w+)", r"blocks.\1.mlp.fc2.\2"),
    (r"ln1\.(\w+)", r"norm.\1"),
)
# What mmseg's class must be told beside sizes, for the same features as timm's.
MMSEG_ARGUMENTS: dict[str, Any] = dict(
    type="VisionTransformer", patch_bias=True, final_norm=True, norm_cfg=dict(type="LN", eps=1e-6)
)


def export_checkpoint(
    source: str | os.PathLike[str], out: str | os.PathLike[str], form: Format, weights: Weights = "auto"
) -> ModelCard:
    """Write a checkpoint's weights for another library, with a model card beside the file.

    Args:
        source: A checkpoint of ours, or any that the Handover reads.
        out: The new file.
        form: The format.
        weights: As in `Handover`; the file holds one kind.

    Returns:
        The card.

    Raises:
        UserError: If the source cannot be read or does not fit the format, or ``out`` exists or has a wrong ending.
    """
    source, out = Path(source), _free(out, form)
    content = load_checkpoint(source)
    try:
        tensors, kind = select_weights(content, weights)
        ours = any(name.removeprefix("module.").startswith(OURS) for name in tensors)
        if form == "safetensors":
            if not ours:
                raise UserError("it is no checkpoint of ours: make it one first, with --from timm or --from mmseg-vit")
            named = {name.removeprefix("module."): value for name, value in tensors.items()}
        else:
            named = timm_names(tensors)
            if form == "mmseg-vit":
                named = to_mmseg(named)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    # The file holds one kind of weights, so there is nothing left to choose between.
    upstream = {key: value for key, value in upstream_of(content).items() if key != "transfer_weights"}
    meta = content.get("meta")
    config_text = meta.get("cfg") if isinstance(meta, Mapping) else None
    kept = {"mixpro_bench": upstream, "only_weights": kind, **({"cfg": config_text} if config_text else {})}
    card = (read_card(source) or card_of(source, content)).model_copy(
        update=dict(file=out.name, format=form, weights=kind, source_sha256=sha256_file(source))
    )
    card.use = mmseg_arguments(named, card.backbone) if form == "mmseg-vit" else {}
    _write(named, kept, out)
    card.sha256 = sha256_file(out)
    write_card(card, out.parent)
    return card


def import_checkpoint(
    source: str | os.PathLike[str], out: str | os.PathLike[str], form: Format, weights: Weights = "auto"
) -> ModelCard:
    """Make a checkpoint of ours out of a file of another library; arguments as in `export_checkpoint`."""
    source, out = Path(source), _free(out, None)
    content = load_checkpoint(source)
    try:
        tensors, kind = select_weights(content, weights)
        if form == "safetensors":
            if not any(name.startswith(OURS) for name in tensors):
                raise UserError("its names are not ours: say --from timm if they are timm's")
            named = dict(tensors)
        else:
            inner = from_mmseg(tensors) if form == "mmseg-vit" else timm_names(tensors)
            named = {INNER + name: value for name, value in inner.items()}
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    upstream = {key: value for key, value in upstream_of(content).items() if key != "transfer_weights"}
    meta = content.get("meta")
    config_text = meta.get("cfg") if isinstance(meta, Mapping) else None
    kept = {"only_weights": kind, **({"cfg": config_text} if config_text else {})}
    if upstream:
        kept["mixpro_bench"] = upstream
    save_checkpoint(dict(meta=kept, state_dict=named), out)
    card = card_of(out)
    told = read_card(source)
    if told is not None:
        known = told.model_dump(include={"backbone", "metrics", "image_size", "normalisation", "code"}, mode="python")
        card = ModelCard.model_validate({**card.model_dump(), **known})
    card.source_sha256 = sha256_file(source)
    write_card(card, out.parent)
    return card


def timm_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a backbone's tensors under timm's names, with the classifier, without what else pretraining added.

    Args:
        tensors: Weights of ours, of timm or of a released code.

    Raises:
        UserError: If there is no backbone in them.
    """
    plain = {name.removeprefix("module."): value for name, value in tensors.items()}
    if any(name.startswith(INNER) for name in plain):
        plain = {name.removeprefix(INNER): value for name, value in plain.items() if name.startswith(INNER)}
    if "patch_embed.projection.weight" in plain:
        raise UserError("its names are mmseg's, not timm's: say --from mmseg-vit")
    if not any(name.startswith("patch_embed") for name in plain):
        raise UserError("there is no backbone with timm's names in it: give a pretraining checkpoint")
    heads = ("head", "head_dist")
    return {name: value for name, value in plain.items() if name.split(".")[0] in heads or not left_behind(name)}


def to_mmseg(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a plain ViT's tensors from timm's to those of mmseg's ``VisionTransformer``; the classifier is left out.

    Raises:
        UserError: If the backbone is something mmseg's class cannot be.
    """
    body = {name: value for name, value in tensors.items() if not left_behind(name)}
    for needed in ("cls_token", "pos_embed", "blocks.0.attn.qkv.bias", "norm.weight"):
        if needed not in body:
            raise UserError(f"mmseg's VisionTransformer cannot be this backbone: it has no {needed}")
    if (tokens := body["pos_embed"].shape[1] - 1) != round(tokens**0.5) ** 2:
        raise UserError(
            f"mmseg's VisionTransformer takes one class token and a square grid, not {tokens + 1} positions"
        )
    return _rename(body, _TO_MMSEG, "mmseg's VisionTransformer")


def from_mmseg(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `to_mmseg`; a ``backbone.`` in front of the names, as in a segmenter's checkpoint, is taken off.

    Raises:
        UserError: If the names are not those of mmseg's ``VisionTransformer``.
    """
    if any(name.startswith(OURS) for name in tensors):
        tensors = {name.removeprefix(OURS): value for name, value in tensors.items() if name.startswith(OURS)}
    return _rename(tensors, _FROM_MMSEG, "timm's ViT")


def mmseg_arguments(tensors: Mapping[str, Tensor], backbone: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the config of mmseg's ``VisionTransformer`` that exported weights fit.

    Args:
        tensors: What `to_mmseg` returned.
        backbone: Our config of the backbone; without it the number of heads is not known and left out.
    """
    kernel = tensors["patch_embed.projection.weight"]
    side = round((tensors["pos_embed"].shape[1] - 1) ** 0.5) * kernel.shape[-1]
    depth = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("layers."))
    hidden = tensors["layers.0.ffn.layers.0.0.weight"].shape[0]
    sizes = dict(
        img_size=(side, side),
        patch_size=int(kernel.shape[-1]),
        embed_dims=int(kernel.shape[0]),
        num_layers=depth,
        mlp_ratio=hidden // int(kernel.shape[0]),
    )
    return {**MMSEG_ARGUMENTS, **sizes, **_heads(backbone)}


def _heads(backbone: Mapping[str, Any] | None) -> dict[str, int]:
    if not backbone or "name" not in backbone:
        return {}
    import torch

    from mixpro_bench.backbones.timm import TimmBackbone

    arguments = {key: value for key, value in backbone.items() if key not in ("type", "init_cfg")}
    with torch.device("meta"):
        model = TimmBackbone(**arguments).model
    return {"num_heads": int(model.blocks[0].attn.num_heads)}


def _rename(tensors: Mapping[str, Tensor], rules: tuple[tuple[str, str], ...], target: str) -> dict[str, Tensor]:
    renamed = {}
    for name, value in tensors.items():
        for pattern, replacement in rules:
            if found := re.fullmatch(pattern, name):
                renamed[found.expand(replacement)] = value
                break
        else:
            raise UserError(f"{target} has no place for {name}: only plain ViTs with a class token can be converted")
    return renamed


def _free(out: str | os.PathLike[str], form: Format | None) -> Path:
    out = Path(out).expanduser()
    endings = (".pth",) if form is None else ENDINGS[form]
    if out.suffix not in endings:
        what = "a checkpoint of ours" if form is None else f"a {form} file"
        raise UserError(f"--out {out}: the name of {what} must end in {' or '.join(endings)}")
    for path in (out, card_path(out)):
        if path.exists():
            raise UserError(f"--out: {path} exists and is not overwritten; choose another name or delete it")
    return out


def _write(tensors: Mapping[str, Tensor], meta: Mapping[str, Any], out: Path) -> None:
    if out.suffix != ".safetensors":
        save_checkpoint(dict(meta=meta, state_dict=dict(tensors)), out)
        return
    from safetensors.torch import save_file

    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in meta.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        temporary = Path(folder, out.name)
        # Tensors that share memory, or are views, are not accepted.
        save_file({name: value.detach().clone().contiguous() for name, value in tensors.items()}, temporary, text)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, out)
