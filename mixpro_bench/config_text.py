"""Configs as text: read without running them, and compared key by key."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from mixpro_bench.config import PATHS, PLACE

_ABSENT = "absent"
# What two sessions of one run may have differently: where it lies, how fast it goes, what is told and kept of it.
_FREE_PARTS = PATHS | {"num_workers", "persistent_workers", "pin_memory", "prefetch_factor"}
_FREE = PLACE | {
    "custom_imports",
    "env_cfg",
    "log_interval",
    "log_level",
    "log_processor",
    "test_cfg",
    "test_dataloader",
    "test_evaluator",
    "val_dataloader.batch_size",
    "vis_backends",
    "visualizer",
    *(f"default_hooks.{name}" for name in ("checkpoint", "finite", "logger", "progress", "record", "timer")),
}
_BATCH = "train_dataloader.batch_size"


def flat_config(text: str) -> dict[str, Any]:
    """Read a config that mmengine wrote, by dotted key, without running it.

    What is more than literals and ``dict(...)`` stays as text.

    Raises:
        SyntaxError: It is no Python.

    Examples:
        >>> flat_config("a = dict(b=1, c=dict(d=(2, 3)))")
        {'a.b': 1, 'a.c.d': [2, 3]}
    """
    flat: dict[str, Any] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            flat.update(flatten(node.targets[0].id, _value(node.value)))
    return flat


def changes(before: str, after: str, processes: tuple[int, int] = (1, 1)) -> list[str]:
    """Say what differs between the configs of two sessions of one run, as far as it can change what comes out.

    Args:
        before: Text of the config that the run began with.
        after: Text of the config that it is to go on with.
        processes: Number of processes then and now; an equal global batch is no difference.

    Returns:
        One ``key (value, now value)`` for each difference, sorted by key.

    Raises:
        SyntaxError: One of them is no Python.

    Examples:
        >>> changes("lr = 0.1; work_dir = '/a'", "lr = 0.2; work_dir = '/b'")
        ['lr (0.1, now 0.2)']
        >>> a, b = (f"train_dataloader = dict(batch_size={size}, num_workers={size})" for size in (4, 8))
        >>> changes(a, b, processes=(2, 1)), changes(a, b)
        ([], ['train_dataloader.batch_size (4, now 8)'])
    """
    old, new = ({k: v for k, v in flat_config(text).items() if not _free(k)} for text in (before, after))
    if processes[0] != processes[1]:
        for flat, count in zip((old, new), processes, strict=True):
            flat["global batch"] = flat.pop(_BATCH, 1) * count
    found = []
    for key in sorted({*old, *new}):
        a, b = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if a != b and not (_is_path(a) and _is_path(b)):
            found.append(f"{key} ({_short(a)}, now {_short(b)})")
    return found


def flatten(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a nested value by dotted key; a list is a leaf unless it holds mappings."""
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from flatten(f"{key}.{name}", part)
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        for number, part in enumerate(value):
            yield from flatten(f"{key}.{number}", part)
    else:
        yield key, value


def _free(key: str) -> bool:
    parts = key.split(".")
    return not _FREE_PARTS.isdisjoint(parts) or not _FREE.isdisjoint((parts[0], ".".join(parts[:2])))


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("/", "~"))


def _short(value: Any) -> str:
    text = value if value is _ABSENT else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        return {word.arg: _value(word.value) for word in node.keywords if word.arg is not None}
    if isinstance(node, ast.Dict):
        keys = [_value(key) if key is not None else "**" for key in node.keys]
        return {str(key): _value(value) for key, value in zip(keys, node.values, strict=True)}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(part) for part in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)
