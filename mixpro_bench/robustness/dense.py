"""Detection and segmentation under common corruptions of the validation images.

After Michaelis et al., Benchmarking Robustness in Object Detection (arXiv:1907.07484, section 3.2): mean performance
under corruption, and that relative to clean.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixpro_bench.errors import UserError
from mixpro_bench.files import write_text_atomic
from mixpro_bench.leaderboard.record import RECORD_NAME, SCHEMA_VERSION, Record, read_record, record_from, write_record
from mixpro_bench.robustness.corrupt import SEVERITIES, library, names_of, severities_of

FOLDER, PARTIAL = "corruptions", "partial.json"
VERSION = 1
# Metrics by "corruption/severity"; clean ones by "clean".
Found = dict[str, dict[str, float]]


def summary(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the metrics of a Record: clean, mean under corruption, relative to clean in percent, and each.

    Args:
        found: The evaluator's metrics by ``corruption/severity``, and by ``clean``.

    Examples:
        >>> found = summary({"clean": {"mIoU": 40.0}, "fog/1": {"mIoU": 30.0}, "fog/2": {"mIoU": 10.0}})
        >>> found["corruptions/mean/mIoU"], found["corruptions/relative/mIoU"]
        (20.0, 50.0)
    """
    metrics = {}
    corrupted = {where: one for where, one in found.items() if where != "clean"}
    for key, clean in found["clean"].items():
        values = {where: one[key] for where, one in corrupted.items() if key in one}
        # COCO's evaluator says -1 where there is no object of a size.
        if clean < 0 or len(values) < len(corrupted):
            continue
        metrics[f"corruptions/clean/{key}"] = clean
        metrics[f"corruptions/mean/{key}"] = mean = statistics.fmean(values.values())
        if clean > 0:
            metrics[f"corruptions/relative/{key}"] = 100 * mean / clean
        metrics.update({f"corruptions/{where}/{key}": value for where, value in values.items()})
    return metrics


def evaluate_corrupted(
    run: str | os.PathLike[str],
    names: str | Sequence[str] = "common",
    severities: int | Sequence[int] = SEVERITIES,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    seed: int = 0,
    tell: Callable[[str, dict[str, float], int, int], None] = lambda where, metrics, done, total: None,
) -> tuple[Record, Path]:
    """Evaluate a finished transfer on corrupted validation images, and leave a Record in ``RUN/corruptions``.

    What was evaluated before an interruption is not evaluated again.

    Args:
        run: Work dir of a finished run.
        names: Corruptions, see `names_of`.
        severities: From 1 to 5.
        checkpoint: Another checkpoint than the run's last.
        seed: Of what is drawn.
        tell: Called with name, metrics, number and number of all after each evaluation.

    Returns:
        The Record and where it lies.

    Raises:
        UserError: If the work dir holds no finished detection or segmentation, or other findings.
    """
    from mixpro_bench.config import load_config
    from mixpro_bench.evaluation import config_of, evaluation_runner, weights_of
    from mixpro_bench.files import sha256_of

    folder = Path(run)
    wanted = ["clean", *(f"{name}/{severity}" for name in names_of(names) for severity in severities_of(severities))]
    library()
    cfg = load_config(config_of(folder))
    task = str(cfg.get("bench", {}).get("task", "pretrain"))
    if task not in ("det", "seg"):
        raise UserError(f"{folder} is a run of {task!r}: classifiers are corrupted by mixpro-bench robustness")
    path = folder / RECORD_NAME
    if not path.is_file():
        raise UserError(f"{path} does not exist: corruptions are measured on a finished run, which leaves a Record")
    origin, weights = read_record(path), weights_of(folder, checkpoint)
    question = {"checkpoint": sha256_of(weights), "wanted": wanted, "seed": seed, "version": VERSION}
    place = folder / FOLDER
    record = _finished(place / RECORD_NAME, question)
    if record is not None:
        return record, place / RECORD_NAME
    found = _known(place, question)
    started = time.perf_counter()
    if any(where not in found for where in wanted):
        with evaluation_runner(cfg, task, weights, _with_step(seed)) as runner:
            for number, where in enumerate(wanted, 1):
                if where not in found:
                    _set(runner, where)
                    found[where] = {key: float(value) for key, value in runner.test().items()}
                    write_text_atomic(place / PARTIAL, json.dumps({"question": question, "found": found}))
                tell(where, found[where], number, len(wanted))
    record = _record(origin, task, question, summary(found), time.perf_counter() - started)
    write_record(record, place / RECORD_NAME)
    (place / PARTIAL).unlink(missing_ok=True)
    return record, place / RECORD_NAME


def _finished(path: Path, question: Mapping[str, Any]) -> Record | None:
    """Return the Record of the same question, if there is one."""
    if not path.is_file():
        return None
    record = read_record(path)
    if (record.model_extra or {}).get("question") != question:
        raise UserError(
            f"{path} answers another question (other weights, corruptions or severities) and is not overwritten: "
            f"move {path.parent} away to ask this one"
        )
    return record


def _known(place: Path, question: Mapping[str, Any]) -> Found:
    """Return what was found before an interruption, of the same question."""
    try:
        told = json.loads((place / PARTIAL).read_text(encoding="utf-8"))
        return dict(told["found"]) if told["question"] == question else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _with_step(seed: int) -> Callable[[Any], None]:
    """Return what puts the step behind the loading of images in the pipeline of a config."""

    def change(cfg: Any) -> None:
        from mixpro_bench.datasets.settings import inner_dataset

        loader = cfg.test_dataloader
        # The step is changed between evaluations: workers have to be started anew for each.
        loader.persistent_workers = False
        pipeline = inner_dataset(loader.dataset).pipeline
        at = next((k for k, step in enumerate(pipeline) if "LoadImage" in str(step["type"])), None)
        if at is None:
            raise UserError("the pipeline of val_dataloader.dataset loads no images from files: nothing to corrupt")
        pipeline.insert(at + 1, dict(type="mixpro_bench.Corrupt", corruption="fog", severity=0, seed=seed))

    return change


def _set(runner: Any, where: str) -> None:
    """Have the step of a runner's test pipeline do a corruption from now on."""
    from mixpro_bench.datasets.corrupt import Corrupt

    runner._test_loop = runner.build_test_loop(runner._test_loop)
    dataset = runner.test_dataloader.dataset
    while not hasattr(dataset, "pipeline"):
        dataset = dataset.dataset
    (step,) = (one for one in dataset.pipeline.transforms if isinstance(one, Corrupt))
    name, _, severity = where.partition("/")
    step.corruption, step.severity = (name, int(severity)) if severity else (step.corruption, 0)


def _record(
    origin: Record, task: str, question: Mapping[str, Any], metrics: dict[str, float], seconds: float
) -> Record:
    from mixpro_bench.hooks.provenance import code_version, device_name, package_versions

    commit, dirty = code_version()
    # Compared are runs of one protocol and recipe that were asked the same.
    recipe = {
        "protocol": origin.protocol.model_dump(mode="json"),
        "recipe": origin.recipe_hash,
        **{key: question[key] for key in ("wanted", "seed", "version")},
    }
    told = origin.provenance
    data = {
        "schema_version": SCHEMA_VERSION,
        "stage": f"{task}-corruptions",
        "method": origin.method.model_dump(),
        "backbone": origin.backbone,
        "protocol": {"name": f"robustness-{task}-corruptions", "version": VERSION},
        "recipe_hash": hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16],
        "pretrain_seed": origin.pretrain_seed,
        "seed": origin.seed,
        "metrics": metrics,
        "cost": {"wall_s": round(seconds, 3), "train_s": 0.0},
        "provenance": {
            "commit": commit,
            "dirty": dirty,
            "checkpoint_sha256": question["checkpoint"],
            "upstream_sha256": told.upstream_sha256,
            "data_fingerprint": told.data_fingerprint,
            "packages": package_versions(),
            "device": device_name(),
        },
        "question": dict(question),
    }
    upstream = (origin.model_extra or {}).get("upstream")
    return record_from(data | ({"upstream": upstream} if upstream else {}), "the Record of corruptions")
