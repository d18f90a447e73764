"""What differs between two runs: what was run, config, data, code, versions, and what came out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixpro_bench.config_text import flat_config, flatten
from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.record import RECORD_NAME, Record, read_record

CONFIG_NAME = "config.py"
PARTS = ("run", "config", "data", "code", "packages", "metrics", "cost")
RUN = ("stage", "method", "backbone", "protocol", "recipe_hash", "pretrain_seed", "seed")
_ABSENT = "(absent)"


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        part: One of `PARTS`.
        key: Dotted name within the part.
        a: Value in the first run, '(absent)' if it has none.
        b: The same of the second.
    """

    part: str
    key: str
    a: Any
    b: Any


def record_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a Record: the file itself, or that of a run's folder."""
    path = Path(path)
    return path / RECORD_NAME if path.is_dir() else path


def diff_runs(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> list[Difference]:
    """Return what differs between two runs, in the order of `PARTS`.

    Args:
        a: A Record's file, or the folder that holds it; a ``config.py`` beside it is compared too.
        b: The other one.

    Raises:
        UserError: If a Record or a config cannot be read.
    """
    first, second = (_facts(record_path(path)) for path in (a, b))
    found = []
    for part in PARTS:
        one, other = first[part], second[part]
        if part == "config" and (one is None or other is None):
            if one is not other:
                found.append(Difference("config", CONFIG_NAME, _there(one), _there(other)))
            continue
        for key in sorted({*(one or {}), *(other or {})}):
            values = (one or {}).get(key, _ABSENT), (other or {}).get(key, _ABSENT)
            if values[0] != values[1]:
                found.append(Difference(part, key, *values))
    return found


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a config that mmengine dumped, by dotted key, without running it.

    Raises:
        UserError: If the file cannot be read or is no Python.
    """
    try:
        return flat_config(Path(path).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a config: {error}") from None


def _facts(path: Path) -> dict[str, dict[str, Any] | None]:
    record = read_record(path)
    data = record.model_dump(mode="json")
    config = path.parent / CONFIG_NAME
    run = {
        key: data[key] for key in ("stage", "method", "backbone", "protocol", "recipe_hash", "pretrain_seed", "seed")
    }
    run |= {"model": data["model"]} if data["model"] else {}
    source = record.provenance
    return {
        "run": _flatten(run),
        "config": read_config(config) if config.is_file() else None,
        "data": {"fingerprint": source.data_fingerprint, "upstream weights": source.upstream_sha256},
        "code": {"commit": source.commit, "dirty": source.dirty},
        "packages": {**source.packages, "device": source.device},
        "metrics": dict(record.metrics),
        "cost": _flatten(data["cost"]),
    }


def _there(config: Mapping[str, Any] | None) -> str:
    return _ABSENT if config is None else f"{len(config)} keys"


def _flatten(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for name, part in data.items() for key, value in flatten(name, part)}


def title_of(record: Record) -> str:
    """Name a run in one line."""
    name, preset = record.method.name, record.method.preset
    method = name if name == preset else f"{name} ({preset})"
    return f"{record.stage}: {method} on {record.backbone}, {record.protocol.name} v{record.protocol.version}"
