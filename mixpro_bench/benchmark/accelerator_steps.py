"""What the check of an accelerator does, and how it reads what comes out."""

from __future__ import annotations

import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, "-m", "mixpro_bench")
# Folders that configs/suites/real_small.py wants below MIXPRO_DATA_ROOT.
REAL_SETS = ("imagenette128", "coco_subset", "camvid")
# The chain on a CPU: the same commands on a few dozen scenes and a model of one layer.
SMALL_SUITE = """
name = "accelerator_check"
methods = ["mixpro"]
one = {{"param_scheduler": [], "model.backbone.depth": 1, "train_dataloader.num_workers": 0}}
one["train_dataloader.persistent_workers"] = False
pretrain = dict(
    config="{configs}/pretrain/digits/vit_digits_{{method}}.py",
    options={{**one, "train_cfg.max_epochs": 1, "train_cfg.val_interval": 1}},
)
steps = {{"train_cfg.max_iters": 2, "train_cfg.val_interval": 2, "train_dataloader.batch_size": 2}}
tasks = dict(seg=dict(config="{configs}/transfer/seg/upernet_vit-digits_digits.py", options={{**one, **steps}}))
del one, steps
"""


@dataclass(frozen=True)
class Step:
    """One part of the check.

    Attributes:
        name: Names its file of results.
        command: What is started.
        limit: Seconds after which it is given up.
        read: Makes its result out of the file that holds its standard output.
        say: Makes a line for people out of the result.
        environment: Variables of its own.
    """

    name: str
    command: tuple[str, ...]
    limit: float
    read: Callable[[Path], dict[str, Any]]
    say: Callable[[dict[str, Any]], str]
    environment: dict[str, str] = field(default_factory=dict)


def steps(device: str, work: Path) -> list[Step]:
    """Return the steps for a device; ``"cpu"`` stands for a much reduced dry run.

    Args:
        device: ``"cuda"`` or ``"cpu"``.
        work: Folder for what is not kept.
    """
    small = device == "cpu"
    # The limits leave ten seconds of nine minutes to start and stop processes.
    benchmark = (*PROGRAM, "benchmark")
    size = ("--batch-size", "2", "--img-size", "32", "--steps", "1") if small else ("--batch-size", "256")
    of_step = (
        ("--methods", "none,mixpro", "--model", "test_vit")
        if small
        else ("--steps", "10", "--model", "deit_small_patch16_224")
    )
    mixing = size if small else (*size, "--steps", "10")
    to = ("--device", device, "--json")
    return [
        Step("env", (*PROGRAM, "env", "--json"), 30, _json, _say_env),
        _tests(work),
        Step("step", (*benchmark, "step", "--amp", *of_step, *size, *to), 110, _json, _say_ratios),
        Step("mixing", (*benchmark, "mixing", *mixing, *to), 30, _json, _say_ratios),
        _chain(small, work),
    ]


def _tests(work: Path) -> Step:
    """Return the step that runs the tests marked ``gpu``, of the files that have any."""
    files = sorted(str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text())
    report = work / "tests.xml"
    words = ("-q", "-m", "gpu", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib")
    command = (sys.executable, "-m", "pytest", *words, f"--junit-xml={report}", *files)

    def read(output: Path) -> dict[str, Any]:
        cases = list(ElementTree.parse(report).iter("testcase"))
        kinds = {kind: [c for c in cases if c.find(kind) is not None] for kind in ("failure", "error", "skipped")}
        failed = [*kinds["failure"], *kinds["error"]]
        return {
            "tests": len(cases),
            "passed": len(cases) - len(failed) - len(kinds["skipped"]),
            "skipped": len(kinds["skipped"]),
            "failed": [f"{case.get('classname')}.{case.get('name')}" for case in failed],
            "seconds": {str(case.get("name")): float(case.get("time", 0)) for case in cases},
        }

    def say(result: dict[str, Any]) -> str:
        named = f": {', '.join(result['failed'][:3])}" if result["failed"] else ""
        return f"{result['passed']} passed, {result['skipped']} skipped, {len(result['failed'])} failed{named}"

    return Step("tests", command, 210, read, say)


def _chain(small: bool, work: Path) -> Step:
    """Return the step that pretrains and transfers: on real photographs where they are, else on the built-in digits."""
    runs, root = work / "chain", os.environ.get("MIXPRO_DATA_ROOT")
    real = not small and root is not None and all(Path(root, name).is_dir() for name in REAL_SETS)
    environment = {"MIXPRO_DIGITS": str(work / "digits")}
    if small:
        from mixpro_bench.datasets.digits import build_digits

        made = build_digits(work / "digits", counts=dict(cls=(32, 16), det=(4, 2), seg=(4, 2)))
        (work / "digits/v1-seed0").symlink_to(made)
        suite = work / "chain.py"
        suite.write_text(SMALL_SUITE.format(configs=ROOT / "configs"))
    else:
        suite = ROOT / "configs/suites" / ("real_small.py" if real else "demo.py")
    command = (*PROGRAM, "suite", str(suite), "--work-dir", str(runs), "--only", "*/mixpro/*")

    def read(output: Path) -> dict[str, Any]:
        records = [json.loads(path.read_text()) for path in sorted(runs.rglob("record.json"))]
        kept = ("stage", "method", "backbone", "protocol", "metrics", "cost", "provenance")
        found = [{key: record.get(key) for key in kept} for record in records]
        return {"data": "photographs" if real else "digits", "of": 2 if small else 3, "records": found}

    def say(result: dict[str, Any]) -> str:
        main = {"pretrain": "top1", "det": "coco/bbox_mAP", "seg": "mIoU"}
        values = [
            f"{one['stage']} {one['metrics'].get(main[one['stage']], float('nan')):.3g}" for one in result["records"]
        ]
        return f"{len(values)} of {result['of']} runs on {result['data']}: {', '.join(values) or 'none finished'}"

    return Step("chain", command, 150, read, say, environment)


def _json(output: Path) -> dict[str, Any]:
    text = output.read_text()
    return dict(json.loads(text[text.index("{") :]))


def _say_env(result: dict[str, Any]) -> str:
    gpus = ", ".join(gpu["name"] for gpu in result["gpus"]) or "no GPU"
    return f"{gpus}, torch {result['packages']['torch']}, operators: {result['operator_backend']}"


def _say_ratios(result: dict[str, Any]) -> str:
    rows = result["rows"]
    key = next(name for name in ("method", "operation") if name in rows[0])
    base = next((row for row in rows if row["ratio"] == 1), rows[0])
    others = [f"{row[key]} x{row['ratio']:.3f}" for row in rows if row is not base]
    return f"{base[key]} {base['ms']:.1f} ms; {', '.join(others)}"
