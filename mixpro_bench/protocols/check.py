"""Where a config leaves the protocol it names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mixpro_bench.protocols.protocol import PROTOCOLS, protocol_of


def deviations(cfg: Mapping[str, Any], world_size: int | None = None) -> list[str]:
    """Say where a resolved config leaves the protocol it names; an empty list means it keeps to it.

    Args:
        cfg: The config.
        world_size: Number of processes; None leaves the global batch unchecked.

    Raises:
        UserError: The protocol is unknown.
    """
    cfg = cfg.to_dict() if hasattr(cfg, "to_dict") else cfg
    bench = cfg.get("bench") or {}
    protocol = protocol_of(bench)
    found = []
    if bench.get("task") != protocol.task:
        found.append(f"bench.task is {bench.get('task')!r}, {protocol.name} is for {protocol.task!r}")
    wanted = dict(protocol.fixes)
    drop_path = protocol.drop_path.get(str(bench.get("backbone")), protocol.other_drop_path)
    if drop_path is not None:
        wanted["model.backbone.drop_path_rate"] = drop_path
    for key, value in wanted.items():
        for path, there, told in _differences(key, value_at(cfg, key), value):
            found.append(f"{path} is {there!r}, {protocol.name} v{protocol.version} says {told!r}")
    if world_size is not None and (batch := global_batch(cfg, world_size)) != protocol.batch:
        found.append(f"the global batch is {batch}, {protocol.name} v{protocol.version} says {protocol.batch}")
    return found


def deviations_of_run(cfg: Mapping[str, Any], world_size: int) -> list[str]:
    """Return what a run changes against the protocol it names; nothing for a protocol that is not this package's.

    Raises:
        UserError: The protocol is this package's, but not in that version.
    """
    name = (cfg.get("bench") or {}).get("protocol")
    return deviations(cfg, world_size) if any(name == known for known, _ in PROTOCOLS) else []


def global_batch(cfg: Mapping[str, Any], world_size: int) -> int:
    """Return the images per optimizer step: processes, times batch per process, times accumulated steps."""
    accumulated = value_at(cfg, "optim_wrapper.accumulative_counts") or 1
    return world_size * int(value_at(cfg, "train_dataloader.batch_size") or 1) * int(accumulated)


def value_at(cfg: Mapping[str, Any], key: str) -> Any:
    """Return what stands at a dotted key; None where nothing does.

    Examples:
        >>> value_at({"a": [{"b": 3}]}, "a.0.b"), value_at({"a": 1}, "a.b.c")
        (3, None)
    """
    value: Any = cfg
    for part in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, (list, tuple)) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _differences(path: str, there: Any, wanted: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted key, what is there, what is wanted), as deep as both go."""
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        for key in sorted({*there, *wanted} - {"_scope_"}):
            yield from _differences(f"{path}.{key}", there.get(key), wanted.get(key))
    elif isinstance(wanted, (list, tuple)) and isinstance(there, (list, tuple)) and len(there) == len(wanted):
        for index, pair in enumerate(zip(there, wanted, strict=True)):
            yield from _differences(f"{path}.{index}", *pair)
    elif not _same(there, wanted):
        yield path, there, wanted


def _same(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(there, (int, float)) and not isinstance(there, bool):
        return math.isclose(there, wanted, rel_tol=1e-9)
    return bool(there == wanted and type(there) is type(wanted))
