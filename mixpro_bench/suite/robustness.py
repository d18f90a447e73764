"""The parts of robustness as runs of a suite: one per pretraining and part, each with its own Record."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixpro_bench.errors import UserError
from mixpro_bench.suite.run import Run, run_name

# Never a name of a task, since runs are kept by task, method and seed.
FEATURES = "_features"


def part_runs(settings: Mapping[str, Any], pretraining: Run, root: Path) -> list[Run]:
    """Return the runs that measure a pretraining's checkpoint.

    Args:
        settings: ``dict(parts=[...], options={"occlusion.draws": 1, ...}, limit=...)`` of the suite config.
        pretraining: Whose checkpoint it is; its config and data are used.
        root: Work dir of the suite.

    Raises:
        UserError: If a part or an option is unknown.
    """
    from mixpro_bench.robustness.part import make_part, options_by_part

    unknown = sorted(set(settings) - {"parts", "options", "limit"})
    if unknown or not settings.get("parts"):
        raise UserError(f"robustness must be dict(parts=[...], options={{...}}, limit=...), not {dict(settings)!r}")
    by_part = options_by_part(dict(settings.get("options") or {}))
    strange = sorted(set(by_part) - set(settings["parts"]))
    if strange:
        raise UserError(f"robustness.options names {strange[0]!r}, which is not among its parts")
    runs = []
    for name in settings["parts"]:
        options = by_part.get(name, {})
        part = make_part(name, options)
        place = root / run_name(name, pretraining.method, pretraining.seed)
        command = [sys.executable, "-m", "mixpro_bench", "robustness", str(place / "config.py"), "{checkpoint}"]
        command += ["--parts", name, "--here", "--work-dir", str(place)]
        command += ["--features-dir", str(root / FEATURES / pretraining.method / f"seed{pretraining.seed}")]
        if settings.get("limit") is not None:
            command += ["--limit", str(settings["limit"])]
        if options:
            command += ["--part-options", *(f"{name}.{key}={_word(value)}" for key, value in options.items())]
        asked = {"part": name, "version": part.version, "options": dict(options), "limit": settings.get("limit")}
        runs.append(
            replace(
                pretraining,
                task=name,
                work_dir=place,
                facts={**pretraining.facts, "robustness": asked},
                needs=pretraining.name,
                command=command,
                global_batch=None,
            )
        )
    return runs


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
