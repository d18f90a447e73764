"""Curves to TensorBoard, MLflow or Weights & Biases, by one key of the config: ``track = 'tensorboard'``.

What is tracked is what the log shows, through mmengine's own backends; the local log stays. Where a run is tracked is
not a part of what it is: its config hash does not know.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from mixpro_bench.errors import UserError

# Name in `track` -> mmengine's type, the module that it imports (and pip installs).
TRACKERS = {
    "tensorboard": ("TensorboardVisBackend", "tensorboard"),
    "mlflow": ("MLflowVisBackend", "mlflow"),
    "wandb": ("WandbVisBackend", "wandb"),
}
# MLflow takes a limited number of short parameters; the whole config is kept as a file there.
PARAMETERS = ("bench", "randomness", "train_cfg")
WAYS_OUT = {
    "tensorboard": "check that the work dir can be written",
    "mlflow": "check MLFLOW_TRACKING_URI, or unset it to write into the work dir",
    "wandb": "run 'wandb login', or set WANDB_MODE=offline to write into the work dir",
}


def names_of(track: Any) -> list[str]:
    """Return the trackers that a config's ``track`` names: None, one name, or a list of them.

    Raises:
        UserError: One is unknown.
    """
    names = [] if track is None else [track] if isinstance(track, str) else list(track)
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"track names {name!r}, which is none of {', '.join(TRACKERS)}")
    return list(dict.fromkeys(names))


def with_trackers(visualizer: Mapping[str, Any] | None, cfg: Mapping[str, Any], work_dir: str) -> dict[str, Any]:
    """Return the config of a visualizer that also writes to what ``cfg.track`` names.

    Args:
        visualizer: The visualizer's config.
        cfg: The run's config.
        work_dir: The run's work dir.

    Raises:
        UserError: A tracker is unknown, or its package is not installed; also where the config itself lists it among
            ``vis_backends``.
    """
    visualizer = dict(visualizer or {"type": "Visualizer", "vis_backends": [{"type": "LocalVisBackend"}]})
    told = visualizer.get("vis_backends") or []
    backends = [dict(one) for one in ([told] if isinstance(told, Mapping) else told)]
    there = {str(one.get("type")).rsplit(".", 1)[-1] for one in backends}
    names = [name for name in names_of(cfg.get("track")) if TRACKERS[name][0] not in there]
    for name, (kind, module) in TRACKERS.items():
        if (name in names or kind in there) and importlib.util.find_spec(module) is None:
            raise UserError(
                f"the run is to be tracked by {name}, which is not installed: pip install 'mixpro-bench[{name}]', or "
                f"'{module}' alone"
            )
    visualizer["vis_backends"] = backends + [_backend(name, cfg, work_dir) for name in names]
    return visualizer


def start(visualizer: Any) -> None:
    """Open the connections of a visualizer's trackers, so that a run does not train before it finds one closed.

    Raises:
        UserError: One cannot be opened.
    """
    if not is_main_process():
        return
    kinds = {kind: name for name, (kind, _) in TRACKERS.items()}
    for backend in visualizer._vis_backends.values():
        name = kinds.get(type(backend).__name__)
        if name is None:
            continue
        try:
            backend.experiment  # noqa: B018 - opens it
        except Exception as error:  # each package has errors of its own
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"{name} cannot be started ({reason}): {WAYS_OUT[name]}") from error


def _backend(name: str, cfg: Mapping[str, Any], work_dir: str) -> dict[str, Any]:
    kind = {"type": TRACKERS[name][0]}
    bench = cfg.get("bench") or {}
    folder = Path(work_dir).absolute()
    title = "/".join(folder.parts[-3:])  # as a suite names its runs: task/method/seed
    group = " ".join(str(bench[key]) for key in ("task", "protocol") if bench.get(key)) or "mixpro_bench"
    if name == "mlflow":
        return {
            **kind,
            "exp_name": group,
            "run_name": title,
            "tracking_uri": (server := os.environ.get("MLFLOW_TRACKING_URI")) or f"sqlite:///{folder / 'mlflow.db'}",
            "artifact_location": None if server else (folder / "mlartifacts").as_uri(),
            "tracked_config_keys": [key for key in PARAMETERS if cfg.get(key) is not None],
            "artifact_suffix": ("config.py", "record.json"),
        }
    if name == "wandb":
        return {**kind, "init_kwargs": {"project": "mixpro-bench", "group": group, "name": title}}
    return kind
