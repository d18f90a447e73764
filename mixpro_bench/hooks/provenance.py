"""Where a result comes from: the commit, packages and device of this process, the weights and data of its run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import mixpro_bench
from mixpro_bench.checkout import git_state

LOAD_AUDIT_KEY = "mixpro_bench/load_audit"
PACKAGES = (
    "mixpro_bench",
    "torch",
    "torchvision",
    "timm",
    "mmengine",
    "mmcv",
    "mmcv-lite",
    "mmdet",
    "mmsegmentation",
    "numpy",
    "pillow",
    "pycocotools",
    "faster-coco-eval",
)


def code_version() -> tuple[str, bool]:
    """Return the commit the package's code lies in, and whether its files differ from that commit.

    Without git, or where the package was installed rather than cloned, the package's version stands for the commit.
    """
    return git_state() or (f"v{mixpro_bench.__version__}", False)


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a result, those that are installed."""
    import torch

    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    versions["torch"] = str(torch.__version__)  # which, unlike the metadata, tells the build: +cpu, +cu130
    return versions


def device_name() -> str:
    """Return the name of the accelerator this process uses, or of the processor with what decides its rounding.

    A short training on AVX2 and on AVX-512 can end points apart.
    """
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    told = [_processor(), torch.backends.cpu.get_cpu_capability(), f"{torch.get_num_threads()} threads"]
    return f"cpu ({', '.join(told)})"


def _processor() -> str:
    """Return the name of the processor, or its architecture where that is all there is to know."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def load_audit(runner: Any) -> dict[str, Any]:
    """Return what the Handover left in the message hub; empty where no weights were handed over."""
    text = runner.message_hub.runtime_info.get(LOAD_AUDIT_KEY)
    return dict(json.loads(text)) if text else {}


def audit_of(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Return the load audit as a Record holds it: counts, and the first names of what did not fit."""
    kept = {key: value for key, value in audit.items() if key not in ("checkpoint", "sha256", "upstream")}
    for key in ("missing", "unexpected", "resized"):
        if isinstance(names := kept.get(key), list):
            kept[key] = len(names)
            if names:
                kept[f"{key}_names"] = names[:20]
    return kept


def last_checkpoint(work_dir: Path) -> Path | None:
    """Return the checkpoint that ``last_checkpoint`` names; a work dir that was moved keeps its files together."""
    pointer = work_dir / "last_checkpoint"
    if not pointer.is_file():
        return None
    named = Path(pointer.read_text().strip())
    return next((path.resolve() for path in (named, work_dir / named.name) if path.is_file()), None)


def data_fingerprint(runner: Any) -> str | None:
    """Return the fingerprint of the data that the config names, None if it names none."""
    from mixpro_bench.datasets.fingerprint import fingerprint_config

    fingerprint = fingerprint_config(runner.cfg)
    return None if fingerprint == hashlib.sha256().hexdigest() else fingerprint


def data_check(runner: Any) -> str | None:
    """Return what ``mixpro-bench check-data`` last found of the data that the config names."""
    from mixpro_bench.datasets.check.outcome import recall
    from mixpro_bench.datasets.fingerprint import roots_of

    outcomes = [recall(root) for root in roots_of(runner.cfg)]
    if "failed" in outcomes:
        return "failed"
    return "passed" if outcomes and None not in outcomes else None
