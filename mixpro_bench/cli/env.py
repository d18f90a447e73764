"""``mixpro-bench env``: what a bug report or a result needs to know of the machine and the packages."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib import metadata
from typing import Any

from mixpro_bench import __version__
from mixpro_bench.checkout import git_state

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "mmengine",
    "mmcv",
    "mmcv-lite",
    "mmdet",
    "mmsegmentation",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "pillow",
    "pycocotools",
    "faster-coco-eval",
    "scikit-learn",
    "scipy",
    "pandas",
    "setuptools",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the sub-command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    """Print the environment; 0 also where parts of it are missing, since that is what one wants to read here."""
    facts = collect()
    if args.json:
        print(json.dumps(facts, indent=2))
        return 0
    packages, gpus, problems = facts.pop("packages"), facts.pop("gpus"), facts.pop("problems")
    rows = {
        **facts,
        **packages,
        **{f"gpu {i}": f"{gpu['name']}, {gpu['memory_gib']} GiB" for i, gpu in enumerate(gpus)},
    }
    for name, value in rows.items():
        print(f"{name:24} {'-' if value is None else value}")
    for problem in problems:
        print(f"problem: {problem}")
    return 0


def collect() -> dict[str, Any]:
    """Return the facts as a dict of primitives; what cannot be found out is None, and ``problems`` says why."""
    problems: list[str] = []
    commit, dirty = git_state() or (None, None)
    return {
        "mixpro_bench": __version__,
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **_device(problems),
        "operator_backend": _operator_backend(problems),
        "packages": {name: _version(name) for name in PACKAGES},
        "problems": problems + _unmet(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _device(problems: list[str]) -> dict[str, Any]:
    try:
        import torch
    except Exception as error:  # a broken torch is exactly what one calls this command for
        problems.append(f"torch cannot be imported: {_first_line(error)}")
        return {"device": None, "cuda": None, "gpus": []}
    gpus = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(index)
            gpus.append({"name": gpu.name, "memory_gib": round(gpu.total_memory / 2**30, 1)})
    return {"device": "cuda" if gpus else "cpu", "cuda": torch.version.cuda, "gpus": gpus}


def _operator_backend(problems: list[str]) -> str | None:
    """``mmcv-compiled`` or ``torchvision``; None where mmcv itself is missing or broken."""
    try:
        from mixpro_bench.compat.mmcv_ops import backend

        return backend()
    except Exception as error:
        problems.append(f"operator backend: {_first_line(error)}")
        return None


def _unmet() -> list[str]:
    """Return one sentence per package of the stack that is missing or does not fit."""
    from mixpro_bench.compat import dependencies
    from mixpro_bench.errors import UserError

    sentences = []
    for check in (
        dependencies.require_mmengine,
        dependencies.require_timm,
        dependencies.require_mmdet,
        dependencies.require_mmseg,
    ):
        try:
            check()
        except UserError as error:
            sentences.append(str(error))
    return list(dict.fromkeys(sentences))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
