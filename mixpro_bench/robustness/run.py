"""Running the parts on one checkpoint: one after the other, one Record each, those that are done left alone."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.record import RECORD_NAME, SCHEMA_VERSION, Record, read_record, record_from, write_record
from mixpro_bench.robustness.part import Finding, Part
from mixpro_bench.robustness.subject import Advance, Subject


@dataclass(frozen=True)
class Outcome:
    """What became of a part.

    Attributes:
        name: Of the part.
        record: Its Record.
        path: Where that lies.
        fresh: Whether it was measured now, and not before.
    """

    name: str
    record: Record
    path: Path
    fresh: bool


def run_parts(
    subject: Subject,
    parts: Sequence[Part],
    work_dir: str | os.PathLike[str],
    *,
    here: bool = False,
    progress: Callable[[str], Advance] | None = None,
    done: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Measure the parts that have no Record yet of this very question.

    Args:
        subject: What is measured.
        parts: What is asked; all are checked before the first one runs.
        work_dir: Takes a folder per part.
        here: Of a single part: its Record goes into ``work_dir`` itself.
        progress: Gives the function that is told about a part's progress.
        done: Called after each part.

    Raises:
        UserError: If a part cannot work, or a folder holds the Record of something else.
    """
    root = Path(work_dir)
    for part in parts:
        part.check(subject)
    outcomes = []
    for part in parts:
        question = question_of(subject, part)
        path = (root if here else root / part.name) / RECORD_NAME
        record = _answered(path, question)
        fresh = record is None
        if record is None:
            started = time.perf_counter()
            finding = part.run(subject, progress(part.name) if progress else lambda done, total: None)
            record = record_of(subject, part, question, finding, time.perf_counter() - started)
            if is_main_process() and finding.metrics:  # a part that had nothing to measure is asked again
                write_record(record, path)
        outcomes.append(Outcome(part.name, record, path, fresh))
        if done is not None:
            done(outcomes[-1])
    return outcomes


def question_of(subject: Subject, part: Part) -> dict[str, Any]:
    """Return what makes two findings comparable, and what makes one reusable: all but the weights, and the weights."""
    asked = {"part": part.name, "version": part.version, "options": part.options(), "images": len(subject.indices)}
    return {
        **json.loads(json.dumps(asked, default=str)),
        "seed": subject.seed,
        "data": subject.fingerprint,
        **({"training_data": subject.training_fingerprint()} if part.learns else {}),
        "upstream": subject.upstream.sha256,
        "weights": subject.upstream.weights,
    }


def record_of(subject: Subject, part: Part, question: Mapping[str, Any], finding: Finding, seconds: float) -> Record:
    """Make the Record of a finding."""
    from mixpro_bench.hooks.provenance import code_version, device_name, package_versions

    told = subject.upstream.told
    unknown = subject.upstream.path.stem
    commit, dirty = code_version()
    recipe = {key: question[key] for key in ("part", "version", "options", "images", "data", "seed")}
    recipe["training_data"] = question.get("training_data")
    data = {
        "schema_version": SCHEMA_VERSION,
        "stage": part.name,
        "method": {"name": told.get("method") or unknown, "preset": told.get("preset") or unknown},
        "backbone": told.get("backbone") or getattr(subject.backbone, "name", type(subject.backbone).__name__),
        "protocol": {"name": f"robustness-{part.name}", "version": part.version},
        "recipe_hash": hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16],
        "pretrain_seed": told.get("seed"),
        "seed": subject.seed,
        "metrics": finding.metrics,
        "cost": {
            "wall_s": round(seconds, 3),
            "train_s": 0.0,
            "peak_memory_mb": round(_peak_mb(), 1),
            "devices": get_world_size(),
        },
        "provenance": {
            "commit": commit,
            "dirty": dirty,
            "upstream_sha256": subject.upstream.sha256,
            "data_fingerprint": question["data"],
            "packages": package_versions(),
            "device": device_name(),
            "upstream_checkpoint": str(subject.upstream.path),
        },
        "question": dict(question),
        "curves": {name: asdict(curve) for name, curve in finding.curves.items()},
        "notes": list(finding.notes),
        "images": len(subject.indices),
    }
    if told:
        kept = ("method", "preset", "seed", "protocol", "version")
        data["upstream"] = {key: told[key] for key in kept if key in told}
    return record_from(data, f"the Record of part {part.name}")


def _answered(path: Path, question: Mapping[str, Any]) -> Record | None:
    if not path.is_file():
        return None
    record = read_record(path)
    if (record.model_extra or {}).get("question") != question:
        raise UserError(f"{path} answers another question (other weights, data or options): give another --work-dir")
    return record


def _peak_mb() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
