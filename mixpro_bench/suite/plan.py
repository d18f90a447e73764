"""From a suite config to the list of its runs."""

from __future__ import annotations

import ast
import difflib
import pprint
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpro_bench.errors import UserError
from mixpro_bench.suite.backbones import PLACE, backbones_of, check_backbones, slug, with_tiny
from mixpro_bench.suite.data import DIGITS, apply_data, prepare_data
from mixpro_bench.suite.estimate import Cost, cost_of
from mixpro_bench.suite.robustness import part_runs
from mixpro_bench.suite.run import Run, run_name

if TYPE_CHECKING:
    from mmengine.config import Config

KEYS: dict[str, Any] = {
    "name": str,
    "seeds": Sequence,
    "methods": Sequence,
    "backbones": Sequence,
    "scratch": bool,
    "pretrain": Mapping,
    "tasks": Mapping,
    "jobs": int,
    "data": (str, Mapping, type(None)),
    "baseline": (str, type(None)),
    "robustness": Mapping,
    "slurm": Mapping,
}
REQUIRED = ("methods", "pretrain", "tasks")
SCRATCH = "scratch"
# What gains are measured against unless the suite says something else.
BASELINE = "none"


@dataclass(frozen=True)
class Plan:
    """A suite with all its configs read.

    Attributes:
        name: What it is called.
        runs: A pretraining before the transfers that need it.
        jobs: Runs at once on one machine.
        missing: A sentence for each part of the data that is not there.
        unchecked: A sentence for each set of data that has passed no check, with the command; of a dry run only.
        baseline: Method that gains are measured against, if any.
        slurm: What the suite asks of SLURM; see `mixpro_bench.suite.slurm_options`.
        costs: Estimated cost of runs by name; of a dry run only.
    """

    name: str
    runs: tuple[Run, ...]
    jobs: int
    missing: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    baseline: str | None = None
    slurm: Mapping[str, Any] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)


def build_plan(path: str | Path, root: str | Path, only: Sequence[str] = (), *, dry: bool = False) -> Plan:
    """Read a suite config and resolve the config of each run.

    Args:
        path: The suite config. Paths in it are relative to it; ``{method}`` in the pretraining's stands for the method,
            ``{backbone}`` in any for one of ``backbones``.
        root: Work dir of the suite.
        only: Patterns of runs (``det/mixpro/*``, or ``det`` for all of a task); what they need is done too.
        dry: Nothing will be run: data that are not there are told in ``missing`` instead of refused, and none are made.

    Raises:
        UserError: If the suite config or one of its configs is wrong, or a pattern fits no run.
    """
    path, root = Path(path), Path(root).absolute()
    suite = read_suite(path)
    if not dry:
        prepare_data(suite.get("data"), path)
    data = _Data(dry)
    configs = _Configs()
    seeds = list(suite.get("seeds", [0]))
    runs = []
    for backbone in backbones_of(suite.get("backbones")):
        # What tells runs apart beside task and seed.
        family = "" if backbone is None else f"{slug(backbone)}/"
        for method in suite["methods"]:
            make = _maker(suite, suite["pretrain"], path, root, data, configs, "pretrain", backbone, method)
            pretrainings = [make(family + method, seed) for seed in seeds]
            runs += pretrainings
            if suite.get("robustness"):
                runs += [run for one in pretrainings for run in part_runs(suite["robustness"], one, root)]
        for task, entry in suite["tasks"].items():
            make = _maker(suite, entry, path, root, data, configs, task, backbone)
            for method in (family + m for m in suite["methods"]):
                runs += [make(method, seed, run_name("pretrain", method, seed)) for seed in seeds]
            if suite.get("scratch", False):
                runs += [make(family + SCRATCH, seed) for seed in seeds]
    # Pretrainings first, seed by seed, so that the first rows of the table are complete early.
    runs.sort(key=lambda run: (run.task != "pretrain", seeds.index(run.seed)))
    name, jobs = str(suite.get("name", path.stem)), int(suite.get("jobs", 1))
    return Plan(
        name,
        tuple(_chosen(runs, only)),
        jobs,
        missing=tuple(dict.fromkeys(data.missing)),
        unchecked=tuple(dict.fromkeys(data.unchecked)),
        baseline=suite.get("baseline", BASELINE if BASELINE in suite["methods"] else None),
        slurm=suite.get("slurm", {}),
        costs=data.costs,
    )


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
    for key in ("seeds", "methods", "backbones"):
        if len(set(suite.get(key, ()))) < len(suite.get(key, ())):
            raise UserError(f"suite config {path}: {key} names something twice: {suite[key]!r}")
    if SCRATCH in suite["methods"]:
        raise UserError(f"suite config {path}: {SCRATCH!r} is no method of pretraining; say scratch=True instead")
    rows = [*suite["methods"], *[SCRATCH] * bool(suite.get("scratch"))]
    if suite.get("baseline") is not None and suite["baseline"] not in rows:
        raise UserError(f"suite config {path}: baseline is {suite['baseline']!r}, which is none of {', '.join(rows)}")
    check_backbones(suite, f"suite config {path}")
    if suite.get("jobs", 1) < 1:
        raise UserError(f"suite config {path}: jobs must be 1 or more, not {suite['jobs']}")
    return suite


class _Data:
    """Fingerprints of the data of configs, each set read once, and what is missing if that is no reason to stop."""

    def __init__(self, dry: bool) -> None:
        self.dry = dry
        self.missing: list[str] = []
        self.unchecked: list[str] = []
        self.costs: dict[str, Cost] = {}
        self._known: dict[str, str] = {}

    def apply(self, cfg: Config, task: str, setting: Any, source: Path, cache_dir: Path) -> tuple[Config, str | None]:
        """Return the config with the suite's data in it, and their fingerprint; None if they are missing."""
        from mixpro_bench.config import canonical_json
        from mixpro_bench.datasets.check.command import open_check
        from mixpro_bench.datasets.fingerprint import LOADERS, fingerprint_config, missing_data

        try:
            cfg = apply_data(cfg, task, setting, source, cache_dir)
        except UserError as error:
            if not self.dry:
                raise
            self.missing.append(str(error))
            return cfg, None
        if self.dry and setting != DIGITS and (sentence := open_check(cfg, task)):
            self.unchecked.append(sentence)
        if self.dry and (found := list(missing_data(cfg))):
            self.missing += [f"{task}: {sentence}" for sentence in found]
            return cfg, None
        key = canonical_json([(cfg.get(loader) or {}).get("dataset") for loader in LOADERS])
        if key not in self._known:
            self._known[key] = fingerprint_config(cfg)
        return cfg, self._known[key]


class _Configs:
    """Configs as they are read, each once however many backbones take it."""

    def __init__(self) -> None:
        self._known: dict[str, Config] = {}
        self._costs: dict[str, Cost] = {}

    def cost(self, cfg: Config, batch: int | None) -> Cost:
        """Return the estimated cost of a config's run; that of configs with one backbone and schedule is one."""
        from mixpro_bench.config import canonical_json

        plain = cfg.to_dict()
        deciding = [
            plain["model"].get("backbone"),
            plain.get("train_cfg"),
            plain.get("bench", {}).get("protocol"),
            batch,
        ]
        key = canonical_json(deciding)
        if key not in self._costs:
            self._costs[key] = cost_of(plain, batch)
        return self._costs[key]

    def load(self, path: Path, options: Mapping[str, Any] | None) -> Config:
        """Return a config with options; it is not to be changed."""
        from mixpro_bench.config import canonical_json, load_config

        key = canonical_json([str(path), options])
        if key not in self._known:
            self._known[key] = load_config(path, options)
        return self._known[key]


def _maker(
    suite: Config,
    entry: Mapping[str, Any],
    path: Path,
    root: Path,
    data: _Data,
    configs: _Configs,
    task: str,
    backbone: str | None = None,
    method: str = "",
) -> Callable[..., Run]:
    """Resolve the config of an entry, and return a function that makes its runs."""
    from mixpro_bench.config import config_hash

    if "config" not in entry or set(entry) - {"config", "options", "tiny"}:
        raise UserError(f"suite config {path}: {task} must be dict(config=..., options={{...}}), not {dict(entry)!r}")
    name = str(entry["config"]).replace("{method}", method).replace(PLACE, backbone or "")
    cfg = configs.load(path.parent / name, entry.get("options"))
    if entry.get("tiny") and backbone is not None:
        cfg = with_tiny(cfg, backbone)
    told = cfg.get("bench", {}).get("task")
    if told != task:
        raise UserError(
            f"suite config {path}: {entry['config']} has bench.task {told!r} and cannot be used as {task!r}"
        )
    cfg, seen = data.apply(cfg, task, suite.get("data"), path, root / "_data")
    facts: dict[str, Any] = {"config": config_hash(cfg), "data": seen}
    batch, own = batch_of(cfg, entry.get("options") or {})
    cost = configs.cost(cfg, batch) if data.dry else None
    if batch != own:
        facts["global_batch"] = batch
    text = config_text(cfg)

    def make(method: str, seed: int, needs: str | None = None) -> Run:
        work_dir = root / run_name(task, method, seed)
        if cost is not None:
            data.costs[run_name(task, method, seed)] = cost
        return Run(task, method, seed, work_dir, facts, needs, text, global_batch=batch)

    return make


def batch_of(cfg: Config, options: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the images per optimizer step of a run, and those that its config means for one process.

    They do not depend on where a run is done: they are those of its protocol, unless the suite gives another batch
    size or the protocol is unknown. Then they are those of one process.
    """
    from mixpro_bench.protocols import PROTOCOLS, global_batch, value_at

    plain = cfg.to_dict()
    if value_at(plain, "train_dataloader.batch_size") is None:
        return None, None
    own = global_batch(plain, world_size=1)
    bench = plain.get("bench", {})
    protocol = PROTOCOLS.get((bench.get("protocol"), bench.get("version")))
    told = "train_dataloader.batch_size" in options or "batch_size" in options.get("train_dataloader", {})
    return (own if protocol is None or told else protocol.batch), own


def config_text(cfg: Config) -> str:
    """Return a config as Python text, one assignment per key.

    mmengine's own writer formats with yapf, which takes seconds for a detector's config.
    """
    lines = [f"{key} = {pprint.pformat(value, width=110, sort_dicts=False)}" for key, value in cfg.to_dict().items()]
    text = "\n".join(lines) + "\n"
    try:
        for line in ast.parse(text).body:
            ast.literal_eval(line.value)  # type: ignore[attr-defined]
    except (SyntaxError, ValueError):  # a value that is no primitive, such as a class
        return str(cfg.pretty_text)
    return text


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
