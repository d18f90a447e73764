"""Model cards: what a checkpoint is, in a JSON file beside it."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from mixpro_bench.compat.checkpoint import load_checkpoint, sha256_file
from mixpro_bench.errors import UserError
from mixpro_bench.files import write_text_atomic
from mixpro_bench.leaderboard.record import RECORD_NAME, Protocol, Record, read_record
from mixpro_bench.transfer.matching import select_weights
from mixpro_bench.transfer.origin import upstream_of

SUFFIX = ".card.json"
OURS = "mixpro_bench"

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Channels = tuple[FiniteFloat, FiniteFloat, FiniteFloat]


class Normalisation(BaseModel):
    """What is subtracted from and divided out of pixel values between 0 and 1, per channel in the order RGB."""

    mean: Channels
    std: Channels


class ModelCard(BaseModel):
    """What one checkpoint file is; what is not known is null.

    Attributes:
        schema_version: Version of this schema.
        file: Name of the checkpoint; the card lies beside it.
        sha256: Hash of the file.
        format: Layout of names: ``mixpro_bench``, ``timm``, ``mmseg-vit`` or ``safetensors`` (ours, in that container).
        weights: ``raw``, ``ema``, or ``raw and ema`` where the file holds both.
        method: What mixed the pretraining images.
        preset: Preset of the method; ``released`` for the weights of a released code.
        code: Repository of the released code, if it was one.
        backbone: The backbone's config, enough to build it.
        protocol: Protocol of the pretraining, and its version.
        seed: Seed of the pretraining.
        metrics: Metrics of the pretraining's Record.
        image_size: Side of the pretraining's images in pixels, or height and width.
        normalisation: What the pretraining's images were normalised by.
        parameters: Number of parameters and buffers' values in the backbone, classifier included.
        source_sha256: Hash of the file this one was made from.
        packages: Versions of the packages that wrote it.
        use: Further things one must know to use the file, such as arguments of the other library's class.
        created: When the card was made.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    file: str
    sha256: Hash
    format: Literal["mixpro_bench", "timm", "mmseg-vit", "safetensors"]
    weights: Literal["raw", "ema", "raw and ema"]
    method: str | None = None
    preset: str | None = None
    code: str | None = None
    backbone: dict[str, Any] | None = None
    protocol: Protocol | None = None
    seed: int | None = None
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)
    image_size: int | tuple[int, int] | None = None
    normalisation: Normalisation | None = None
    parameters: int | None = None
    source_sha256: Hash | None = None
    packages: dict[str, str] = Field(default_factory=dict)
    use: dict[str, Any] = Field(default_factory=dict)
    created: datetime = Field(default_factory=lambda: datetime.now(timezone.utc))


def card_path(checkpoint: str | os.PathLike[str]) -> Path:
    """Return where the card of a checkpoint lies.

    Examples:
        >>> str(card_path("checkpoints/a.pth"))
        'checkpoints/a.pth.card.json'
    """
    path = Path(checkpoint)
    return path.with_name(path.name + SUFFIX)


def read_card(checkpoint: str | os.PathLike[str]) -> ModelCard | None:
    """Return the card of a checkpoint, None where there is none.

    Raises:
        UserError: If the card is none, or belongs to a file of another content.
    """
    path = card_path(checkpoint)
    if not path.is_file():
        return None
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise UserError(f"{path} is not a model card: {' '.join(str(error).split())[:200]}; delete it") from None
    if card.sha256 != sha256_file(checkpoint):
        raise UserError(f"{path} is the card of another file than {checkpoint} (its sha256 differs): delete the card")
    return card


def write_card(card: ModelCard, folder: str | os.PathLike[str]) -> Path:
    """Write a card into the folder of its checkpoint, in one step."""
    return write_text_atomic(card_path(Path(folder) / card.file), card.model_dump_json(indent=2) + "\n")


def card_of(path: str | os.PathLike[str], content: Mapping | None = None, record: Record | None = None) -> ModelCard:
    """Make the card of one of our checkpoints, from what it says of itself and from its Record.

    Args:
        path: The checkpoint.
        content: What it holds, if it has been read already.
        record: The Record of the run; looked for beside the checkpoint by default.
    """
    path = Path(path)
    content = load_checkpoint(path) if content is None else content
    tensors, kind = select_weights(content, "auto")
    upstream = upstream_of(content)
    both = isinstance(content.get("ema_state_dict"), Mapping)
    record = _record_beside(path) if record is None else record
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    return ModelCard(
        file=path.name,
        sha256=sha256_file(path),
        format="safetensors" if path.suffix == ".safetensors" else "mixpro_bench",
        weights="raw and ema" if both else kind,  # type: ignore[arg-type]
        metrics=record.metrics if record else {},
        parameters=sum(t.numel() for name, t in tensors.items() if name.startswith(("backbone.", "module.backbone.")))
        or None,
        packages=_packages(),
        **facts_of(upstream, read_config_text(str(meta.get("cfg") or ""))),
    )


def facts_of(upstream: Mapping, cfg: Mapping) -> dict[str, Any]:
    """Return the fields of a card that a run and its config tell.

    Args:
        upstream: ``meta['mixpro_bench']``.
        cfg: The run's config, of primitives; empty if unknown.
    """
    model = cfg.get("model") or {}
    backbone = {key: value for key, value in (model.get("backbone") or {}).items() if key != "init_cfg"}
    loader = cfg.get("val_dataloader") or cfg.get("train_dataloader") or {}
    transform = (loader.get("dataset") or {}).get("transform")
    size = (transform or {}).get("input_size") or backbone.get("img_size")
    if isinstance(size, (list, tuple)):
        size = tuple(size[-2:])
    protocol = upstream.get("protocol")
    return dict(
        method=upstream.get("method"),
        preset=upstream.get("preset"),
        code=upstream.get("code"),
        seed=upstream.get("seed"),
        protocol=Protocol(name=protocol, version=upstream.get("version", 0)) if protocol else None,
        backbone=json.loads(json.dumps(backbone, default=str)) or None,
        image_size=size,
        normalisation=_normalisation(transform, model.get("data_preprocessor") or {}),
    )


def read_config_text(text: str) -> dict[str, Any]:
    """Read the literals of a config's text, executing nothing; what is no literal is left out.

    Examples:
        >>> read_config_text("a = dict(b=[1, 2], c=open('x'))")
        {'a': {'b': [1, 2]}}
    """
    try:
        lines = ast.parse(text).body
    except (SyntaxError, ValueError):
        return {}
    found: dict[str, Any] = {}
    for line in lines:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            value = _literal(line.value)
            if value is not _NO_LITERAL:
                found[line.targets[0].id] = value
    return found


_NO_LITERAL = object()


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        values = {word.arg: _literal(word.value) for word in node.keywords if word.arg is not None}
        return {key: value for key, value in values.items() if value is not _NO_LITERAL}
    if isinstance(node, ast.Dict):
        pairs = [(_literal(key), _literal(value)) for key, value in zip(node.keys, node.values, strict=True) if key]
        return {key: value for key, value in pairs if _NO_LITERAL is not key and _NO_LITERAL is not value}
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [value for item in node.elts if (value := _literal(item)) is not _NO_LITERAL]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return _NO_LITERAL


def _normalisation(transform: Mapping | None, preprocessor: Mapping) -> Normalisation | None:
    if transform is not None:
        from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

        return Normalisation(
            mean=transform.get("mean") or IMAGENET_DEFAULT_MEAN, std=transform.get("std") or IMAGENET_DEFAULT_STD
        )
    if preprocessor.get("mean") is None or preprocessor.get("std") is None:
        return None
    mean, std = ([float(value) / 255 for value in preprocessor[key]] for key in ("mean", "std"))
    return Normalisation(mean=mean, std=std)  # type: ignore[arg-type]


def _record_beside(path: Path) -> Record | None:
    try:
        record = read_record(path.parent / RECORD_NAME)
    except UserError:
        return None
    return record if Path(record.provenance.checkpoint or "").name == path.name else None


def _packages() -> dict[str, str]:
    from mixpro_bench.hooks.provenance import package_versions

    return package_versions()
