"""Evaluating a finished run again, from its work dir, through mmengine's test loop."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.record import RECORD_NAME, Record, read_record, write_record

if TYPE_CHECKING:
    from mmengine.config import Config

# Metrics may differ by this much, relatively or absolutely, before they are called different: another device rounds
# otherwise, and COCO's metrics come with three digits.
RELATIVE, ABSOLUTE = 1e-4, 1.5e-3
VISUALIZERS = {"det": "mmdet.DetLocalVisualizer", "seg": "mmseg.SegLocalVisualizer"}
# Hooks that would write into a work dir as a training does.
_OF_TRAINING = ("record", "progress", "checkpoint", "step_seed")


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        metrics: Metrics of this evaluation.
        recorded: Metrics of the run's Record; None where there is no Record, or it is of another checkpoint.
        checkpoint: What was evaluated.
        written: Files and folders of predictions and pictures.
    """

    metrics: dict[str, float]
    recorded: dict[str, float] | None
    checkpoint: Path
    written: tuple[Path, ...]

    def differences(self) -> dict[str, tuple[float | None, float | None]]:
        """Return the metrics that differ, as (recorded, now); a metric that one side lacks differs."""
        recorded = self.recorded or {}
        pairs = {key: (recorded.get(key), self.metrics.get(key)) for key in {**recorded, **self.metrics}}
        return {key: pair for key, pair in pairs.items() if not agree(*pair)}


def agree(recorded: float | None, now: float | None) -> bool:
    """Tell whether two values of a metric are the same but for rounding.

    Examples:
        >>> agree(0.412, 0.413), agree(40.0, 40.1), agree(1.0, None)
        (True, False, False)
    """
    if recorded is None or now is None:
        return recorded is now
    return math.isclose(recorded, now, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def evaluate(
    run: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    dump: str | os.PathLike[str] | None = None,
    show: int = 0,
    show_dir: str | os.PathLike[str] | None = None,
) -> Evaluation:
    """Evaluate a run on its validation data; its work dir is left as it is, but for what is asked for here.

    Args:
        run: Work dir of a finished run.
        checkpoint: Another checkpoint than the run's last.
        dump: Where predictions go: for detection the beginning of the names of COCO results files
            (``DUMP.bbox.json``, ``DUMP.segm.json``), for segmentation a folder of PNG masks, for classification a
            ``.npz`` or ``.safetensors`` file of scores, labels and indices. If that is in the work dir, the Record of
            the evaluated checkpoint names it as its ``predictions``.
        show: Number of pictures drawn with what was found and what is there.
        show_dir: Where they go; ``show`` in the work dir by default.

    Raises:
        UserError: If the work dir holds no finished run, or a place to write to is taken.
    """
    from mmengine.registry import RUNNERS

    from mixpro_bench import compat
    from mixpro_bench.compat.dependencies import require_for
    from mixpro_bench.config import load_config
    from mixpro_bench.datasets.fingerprint import check_data
    from mixpro_bench.launch import clear_errors

    folder = Path(run)
    cfg = load_config(config_of(folder))
    task = str(cfg.get("bench", {}).get("task", "pretrain"))
    record = _record(folder)
    weights = _checkpoint(folder, record, checkpoint)
    places = _places(folder, task, dump, show, show_dir)
    require_for(task)
    compat.install()
    with _scratch() as scratch, clear_errors():
        _make_test(cfg, task, weights, scratch, show)
        check_data({"test_dataloader": cfg.test_dataloader})  # those of the training may be gone
        if dump is not None and task != "pretrain":
            _keep_predictions(cfg, task, places[0])
        runner = RUNNERS.build(cfg)
        kept = _more(runner, task, dump, show, places)
        metrics = {key: float(value) for key, value in runner.test().items()}
        if kept is not None:
            kept.write(places[0])
    if record is not None and Path(record.provenance.checkpoint or "").name != weights.name:
        record = None
    if record is not None and dump is not None:
        _remember_predictions(record, folder, places[0])
    return Evaluation(metrics, dict(record.metrics) if record else None, weights, _written(task, dump, places))


@contextlib.contextmanager
def evaluation_runner(cfg: Config, task: str, weights: Path, change: Callable[[Config], None]) -> Iterator[Any]:
    """Give a runner whose ``test`` evaluates weights on the validation data; it may be called again and again.

    Args:
        cfg: Config of the training; changed in place.
        task: Its task.
        weights: The checkpoint.
        change: Changes the config of the test, at last.
    """
    from mmengine.registry import RUNNERS

    from mixpro_bench import compat
    from mixpro_bench.compat.dependencies import require_for
    from mixpro_bench.datasets.fingerprint import check_data
    from mixpro_bench.launch import clear_errors

    require_for(task)
    compat.install()
    with _scratch() as scratch, clear_errors():
        _make_test(cfg, task, weights, scratch, 0)
        check_data({"test_dataloader": cfg.test_dataloader})
        change(cfg)
        yield RUNNERS.build(cfg)


def weights_of(folder: Path, named: str | os.PathLike[str] | None = None) -> Path:
    """Return the checkpoint of a finished run that is to be evaluated: the named one, else the last.

    Raises:
        UserError: If there is none.
    """
    return _checkpoint(folder, _record(folder), named)


def config_of(folder: Path) -> Path:
    """Return the config that a run left in its work dir.

    Raises:
        UserError: If there is none, or more than one and none is called ``config.py``.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: give the work dir of a finished run")
    found = sorted(folder.glob("*.py"))
    named = folder / "config.py"
    if named in found:
        return named
    if len(found) != 1:
        what = "no config" if not found else f"several configs ({', '.join(path.name for path in found)})"
        raise UserError(f"{folder} holds {what}: give the work dir of a finished run, with one config in it")
    return found[0]


def _record(folder: Path) -> Record | None:
    path = folder / RECORD_NAME
    return read_record(path) if path.is_file() else None


def _remember_predictions(record: Record, folder: Path, predictions: Path) -> None:
    """Have the Record name predictions that were kept in the run's own folder, which may be moved as a whole."""
    folder = folder.absolute()
    if predictions.is_relative_to(folder):
        told = predictions.relative_to(folder).as_posix()
        write_record(record.model_copy(update={"predictions": told}), folder / RECORD_NAME)


def _checkpoint(folder: Path, record: Record | None, named: str | os.PathLike[str] | None) -> Path:
    from mixpro_bench.compat.checkpoint import latest_checkpoint
    from mixpro_bench.suite.run import checkpoint_of

    if named is not None:
        path: Path | None = Path(named)
    else:
        path = (checkpoint_of(record, folder) if record else None) or latest_checkpoint(folder)
    if path is None or not path.is_file():
        raise UserError(f"{path or folder}: there is no checkpoint to evaluate; finish the run, or name --checkpoint")
    return path.absolute()


def _places(
    folder: Path, task: str, dump: str | os.PathLike[str] | None, show: int, show_dir: str | os.PathLike[str] | None
) -> tuple[Path, Path]:
    if show < 0:
        raise UserError(f"--show {show}: a number of pictures is expected")
    if show and task not in VISUALIZERS:
        raise UserError(f"--show draws detections and segmentations; {folder} is a run of {task!r}")
    predictions = Path(dump if dump is not None else folder / "predictions").absolute()
    if task == "det":
        predictions = predictions.with_suffix("") if predictions.suffix == ".json" else predictions
    elif task == "pretrain" and dump is not None and predictions.suffix not in (".npz", ".safetensors"):
        raise UserError(f"--dump {dump}: scores of a classifier go into a .npz or a .safetensors file")
    pictures = Path(show_dir if show_dir is not None else folder / "show").absolute()
    taken = [*_written(task, dump, (predictions, pictures)), *([pictures] if show else [])]
    for path in taken:
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise UserError(f"{path} exists and is not overwritten: choose another place or delete it")
    return predictions, pictures


def _written(task: str, dump: Any, places: tuple[Path, Path]) -> tuple[Path, ...]:
    predictions, pictures = places
    files: tuple[Path, ...] = ()
    if dump is not None:
        det = tuple(predictions.with_name(f"{predictions.name}.{kind}.json") for kind in ("bbox", "segm"))
        files = det if task == "det" else (predictions,)
    return tuple(path for path in (*files, pictures) if path in files or path.exists())


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Give the runner a work dir of its own: logs and the config's copy are of no use afterwards."""
    with tempfile.TemporaryDirectory(prefix="mixpro-bench-evaluate-") as folder:
        yield Path(folder)


def _make_test(cfg: Config, task: str, weights: Path, scratch: Path, show: int) -> None:
    """Turn the config of a training into that of a test on the data its Record was made with."""
    for key in ("val_dataloader", "val_evaluator"):
        if cfg.get(key) is None:
            raise UserError(f"{cfg.filename} has no {key}, so there is nothing to evaluate on")
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_evaluator = cfg.val_evaluator
    cfg.test_cfg = dict(type="TestLoop", fp16=bool((cfg.get("val_cfg") or {}).get("fp16", False)))
    cfg.load_from, cfg.resume, cfg.launcher = str(weights), False, "none"
    cfg.work_dir, cfg.experiment_name = str(scratch), f"evaluate-{uuid.uuid4().hex[:8]}"
    # The averaged weights, where there are any, are the checkpoint's own: no hook has to exchange them.
    cfg.custom_hooks = []
    cfg.track = None
    hooks = {key: hook for key, hook in (cfg.get("default_hooks") or {}).items() if key not in _OF_TRAINING}
    cfg.default_hooks = {**hooks, "checkpoint": None, "step_seed": None}
    if show:
        cfg.visualizer = dict(type=VISUALIZERS[task], name="visualizer")


def _keep_predictions(cfg: Config, task: str, place: Path) -> None:
    key, types = {"det": ("outfile_prefix", "CocoMetric"), "seg": ("output_dir", "IoUMetric")}[task]
    evaluator = cfg.test_evaluator
    for metric in evaluator if isinstance(evaluator, list) else [evaluator]:
        if str(metric.get("type", "")).rsplit(".", 1)[-1] == types:
            place.parent.mkdir(parents=True, exist_ok=True)
            metric[key] = str(place)
            return
    raise UserError(f"--dump: this run is not evaluated by {types}, which is what writes predictions")


def _more(runner: Any, task: str, dump: Any, show: int, places: tuple[Path, Path]) -> Any:
    """Add what keeps scores and draws pictures; returns the keeper of scores, if any."""
    from mixpro_bench.pretrain.scores import KeepScores
    from mixpro_bench.transfer.drawing import DrawHook

    if show:
        runner.register_hook(DrawHook(show, places[1]))
    if dump is None or task != "pretrain":
        return None
    keeper = KeepScores()
    runner._test_loop = runner.build_test_loop(runner._test_loop)
    runner.test_loop.evaluator.metrics.append(keeper)
    return keeper


def rows(evaluation: Evaluation) -> Sequence[tuple[str, str, str, str]]:
    """Return name, recorded value, value now and verdict of each metric, as text."""
    recorded: Mapping[str, float] = evaluation.recorded or {}
    differ = evaluation.differences() if evaluation.recorded is not None else {}
    lines = []
    for key in dict.fromkeys((*recorded, *evaluation.metrics)):
        before, now = (
            f"{v:.6g}" if (v := values.get(key)) is not None else "-" for values in (recorded, evaluation.metrics)
        )
        verdict = "" if evaluation.recorded is None else "DIFFERS" if key in differ else "agrees"
        lines.append((key, before, now, verdict))
    return lines
