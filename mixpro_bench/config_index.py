"""Which configs there are, read from their ``bench`` blocks without running them: hundreds in a moment."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from mixpro_bench.errors import UserError

ROOMS = ("pretrain", "transfer")
# Of a transfer, method and preset are those of its checkpoint.
ANY = "of the checkpoint"


@dataclass(frozen=True)
class Entry:
    """One config file: what it trains, by which method, under which protocol."""

    task: str
    backbone: str
    method: str
    preset: str
    protocol: str
    version: int
    file: str


@dataclass(frozen=True)
class LeftOut:
    """A combination for which there is no config, and why. ``backbone`` and ``preset`` are patterns."""

    backbone: str
    preset: str
    reason: str

    def fits(self, backbone: str, preset: str) -> bool:
        """Tell whether this is about a backbone and a preset."""
        return fnmatchcase(backbone, self.backbone) and fnmatchcase(preset, self.preset)


_OF_B = "TransMix's settings for DeiT-B; the others have those for DeiT-S"
LEFT_OUT = (
    LeftOut("xcit_*", "tl-align*", "attention between channels carries no share of A through the blocks"),
    *(LeftOut(pattern, "transmix-b", _OF_B) for pattern in ("deit_[ts]*", "swin_*", "pvt_v2_*", "cait_*", "xcit_*")),
)


def config_folder() -> Path:
    """Return the ``configs`` folder: the one here, or the one beside the package.

    Raises:
        UserError: There is neither.
    """
    for folder in (Path("configs"), Path(__file__).resolve().parents[1] / "configs"):
        if folder.is_dir():
            return folder
    raise UserError("there is no folder 'configs' here: name it with --dir")


def list_configs(folder: str | Path | None = None) -> list[Entry]:
    """List the configs that can be run, by task, backbone and method.

    Args:
        folder: The ``configs`` folder; `config_folder` by default.

    Raises:
        UserError: The folder has no configs, or a file cannot be read.
    """
    root = config_folder() if folder is None else Path(folder)
    entries = []
    for path in (p for room in ROOMS for p in sorted(root.glob(f"{room}/**/*.py"))):
        bench = bench_of(path.resolve())
        if not bench.get("backbone"):
            continue  # a base of others
        transfer = bench.get("task") != "pretrain"
        method, preset = (ANY, ANY) if transfer else (str(bench.get("method")), str(bench.get("preset")))
        entries.append(
            Entry(
                task=str(bench.get("task")),
                backbone=str(bench["backbone"]),
                method=method,
                preset=preset,
                protocol=str(bench.get("protocol")),
                version=int(bench.get("version", 0)),
                file=str(path),
            )
        )
    if not entries:
        raise UserError(f"{root} holds no configs: name the folder with --dir")
    order = {"pretrain": 0, "det": 1, "seg": 2}
    return sorted(entries, key=lambda e: (order.get(e.task, 3), e.protocol, e.backbone))


def as_rows(entries: list[Entry]) -> list[dict[str, Any]]:
    """Return entries as dicts of primitives."""
    return [asdict(entry) for entry in entries]


@cache
def _bench(path: Path) -> tuple[tuple[str, Any], ...]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError) as error:
        raise UserError(f"config {path} cannot be read: {error}") from None
    values = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    bench: dict[str, Any] = {}
    bases = ast.literal_eval(values["_base_"]) if "_base_" in values else []
    for base in [bases] if isinstance(bases, str) else bases:
        if "::" not in base:  # of another package, which has no bench block
            bench.update(_bench((path.parent / base).resolve()))
    own = values.get("bench")
    if isinstance(own, ast.Call):
        bench.update({word.arg: ast.literal_eval(word.value) for word in own.keywords if word.arg})
    return tuple(bench.items())


def bench_of(path: str | Path) -> Mapping[str, Any]:
    """Return the ``bench`` block of a config, with what its bases say, without running it.

    Raises:
        UserError: The file or one of its bases cannot be read.
    """
    return dict(_bench(Path(path).resolve()))
