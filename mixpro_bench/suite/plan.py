"""From a suite config to the list of its runs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpro_bench.errors import UserError
from mixpro_bench.suite.data import SuiteData
from mixpro_bench.suite.run import Run, run_name

if TYPE_CHECKING:
    from mmengine.config import Config

KEYS = {
    "name": str,
    "seeds": Sequence,
    "methods": Sequence,
    "scratch": bool,
    "pretrain": Mapping,
    "tasks": Mapping,
    "jobs": int,
    "data": (str, Mapping, type(None)),
}
REQUIRED = ("methods", "pretrain", "tasks")
SCRATCH = "scratch"


@dataclass(frozen=True)
class Plan:
    """The runs of a suite, a pretraining before the transfers that need it."""

    name: str
    runs: tuple[Run, ...]
    jobs: int


def build_plan(path: str | Path, root: str | Path, only: Sequence[str] = ()) -> Plan:
    """Read a suite config and resolve the config of each run.

    Args:
        path: The suite config. Paths in it are relative to it; ``{method}`` in the pretraining's stands for the method.
        root: Work dir of the suite.
        only: Patterns of runs (``det/mixpro/*``, or ``det`` for all of a task); what they need is done too.

    Raises:
        UserError: If the suite config or one of its configs is wrong, or a pattern fits no run.
    """
    path, root = Path(path), Path(root).absolute()
    suite = read_suite(path)
    data = SuiteData(suite.get("data"), path)
    seeds = list(suite.get("seeds", [0]))
    methods = list(suite["methods"])
    runs = []
    for method in methods:
        cfg = _compose(suite["pretrain"], path, "pretrain", data, method)
        runs += [_run("pretrain", method, seed, cfg, root, data) for seed in seeds]
    for task, entry in suite["tasks"].items():
        cfg = _compose(entry, path, task, data)
        for method in methods:
            runs += [_run(task, method, s, cfg, root, data, run_name("pretrain", method, s)) for s in seeds]
        if suite.get("scratch", False):
            runs += [_run(task, SCRATCH, seed, cfg, root, data) for seed in seeds]
    # Pretrainings first, seed by seed, so that the first rows of the table are complete early.
    runs.sort(key=lambda run: (run.task != "pretrain", seeds.index(run.seed)))
    return Plan(str(suite.get("name", path.stem)), tuple(_chosen(runs, only)), int(suite.get("jobs", 1)))


def read_suite(path: Path) -> Config:
    """Read a suite config and check its keys.

    Raises:
        UserError: If the file is missing or unreadable, or a key is missing, unknown or of a wrong type.
    """
    from mmengine.config import Config

    if not path.is_file():
        raise UserError(f"suite config {path} does not exist: name one, such as configs/suites/demo.py")
    try:
        suite = Config.fromfile(path)
    except Exception as error:  # a config is a program: anything may come out of it
        raise UserError(f"suite config {path} cannot be read: {type(error).__name__}: {error}") from error
    for key, value in suite.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(KEYS)}"
            raise UserError(f"suite config {path} has an unknown key {key!r}: {hint}")
        if not isinstance(value, KEYS[key]) or (isinstance(value, str) and KEYS[key] is Sequence):
            raise UserError(f"suite config {path}: {key} is {value!r}, which is of a wrong type")
    for key in REQUIRED:
        if not suite.get(key):
            raise UserError(f"suite config {path} lacks {key!r}")
    if not suite.get("seeds", [0]) or not all(isinstance(seed, int) for seed in suite.get("seeds", [0])):
        raise UserError(f"suite config {path}: seeds must be a list of whole numbers, not {suite.get('seeds')!r}")
    for key in ("seeds", "methods"):
        if len(set(suite.get(key, ()))) < len(suite.get(key, ())):
            raise UserError(f"suite config {path}: {key} names something twice: {suite[key]!r}")
    if SCRATCH in suite["methods"]:
        raise UserError(f"suite config {path}: {SCRATCH!r} is no method of pretraining; say scratch=True instead")
    if suite.get("jobs", 1) < 1:
        raise UserError(f"suite config {path}: jobs must be 1 or more, not {suite['jobs']}")
    return suite


def _compose(entry: Mapping[str, Any], path: Path, task: str, data: SuiteData, method: str = "") -> Config:
    from mixpro_bench.config import load_config

    if "config" not in entry or set(entry) - {"config", "options"}:
        raise UserError(f"suite config {path}: {task} must be dict(config=..., options={{...}}), not {dict(entry)!r}")
    cfg = load_config(path.parent / str(entry["config"]).replace("{method}", method), entry.get("options"))
    if cfg.get("bench", {}).get("task") != task:
        raise UserError(
            f"suite config {path}: the config of {task} ({entry['config']}) has bench.task "
            f"{cfg.get('bench', {}).get('task')!r}, so it is not for this place"
        )
    data.apply(cfg, task)
    if fingerprint := data.fingerprint(task):
        cfg.bench["data_fingerprint"] = fingerprint
    return cfg


def _run(task: str, method: str, seed: int, cfg: Config, root: Path, data: SuiteData, needs: str | None = None) -> Run:
    from mixpro_bench.config import config_hash

    facts = {"config": config_hash(cfg), "data": data.fingerprint(task)}
    return Run(task, method, seed, root / run_name(task, method, seed), facts, needs, cfg.pretty_text)


def _chosen(runs: Sequence[Run], only: Sequence[str]) -> list[Run]:
    if not only:
        return list(runs)
    chosen: set[str] = set()
    for pattern in only:
        found = [r for r in runs if fnmatchcase(r.name, pattern) or r.name.startswith(f"{pattern.rstrip('/')}/")]
        if not found:
            raise UserError(f"--only {pattern} fits no run; the runs are {', '.join(run.name for run in runs)}")
        chosen |= {name for run in found for name in (run.name, run.needs) if name}
    return [run for run in runs if run.name in chosen]
