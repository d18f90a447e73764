"""Reading configs, refusing the mistakes that mmengine lets pass, and telling whether two runs were the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpro_bench.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

# Where a run lies and how it was started, not what it is.
PLACE = frozenset(
    {"work_dir", "load_from", "resume", "resume_changed_config", "launcher", "experiment_name", "filename", "track"}
)
# What a recipe leaves open besides: how fast it runs, what is written about it, and what is compared.
_NOT_RECIPE = PLACE | frozenset(
    {
        "backbone",
        "custom_imports",
        "default_hooks",
        "default_scope",
        "env_cfg",
        "log_level",
        "log_processor",
        "num_workers",
        "persistent_workers",
        "pin_memory",
        "policy",
        "prefetch_factor",
        "pyramid",
        "randomness",
        "runner_type",
        "seed",
        "vis_backends",
        "visualizer",
    }
)
PATHS = frozenset({"ann_file", "checkpoint", "data_prefix", "data_root", "img_path", "out_dir", "root", "teacher_maps"})
_WIDTHS = frozenset({"in_channels", "in_strides"})
_BENCH_RECIPE = ("task", "protocol", "version")


def load_config(path: str | PathLike[str], options: Mapping[str, Any] | None = None) -> Config:
    """Read a config file, merge ``options`` (dotted keys) into it, and check it.

    Raises:
        UserError: The file is missing or no valid config, an option does not fit, or `check_config` refuses.
    """
    from mmengine.config import Config

    from mixpro_bench import compat
    from mixpro_bench.config_check import check_config

    compat.install()
    path = Path(path)
    if not path.is_file():
        raise UserError(f"config {path} does not exist: name a config file, such as one under configs/")
    try:
        cfg = Config.fromfile(path)
    except SyntaxError as error:
        place = f"{error.filename or path}, line {error.lineno}"
        raise UserError(f"config {path} is not valid Python ({place}: {error.msg})") from error
    except UserError:
        raise
    except Exception as error:  # a config is a program: anything may come out of it
        raise UserError(f"config {path} cannot be read: {type(error).__name__}: {_line(error)}") from error
    if options:
        try:
            cfg.merge_from_dict(dict(options))
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise UserError(f"--cfg-options does not fit config {path}: {_line(error)}") from error
    check_config(cfg)
    return cfg


def config_hash(cfg: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a config says, wherever the run lies and however it was started.

    The place of the upstream checkpoint is left out: what it holds is compared by its own hash.

    Examples:
        >>> config_hash({"a": 1, "work_dir": "x"}) == config_hash({"work_dir": "y", "a": 1})
        True
    """
    return _sha256({key: value for key, value in _plain(cfg).items() if key not in PLACE})


def recipe_hash(cfg: Mapping[str, Any], world_size: int = 1) -> str:
    """Return the SHA-256 of a recipe: the config minus method, backbone, seed and paths. Only equal recipes are ranked.

    Args:
        cfg: Resolved config.
        world_size: Number of processes; the recipe holds the global batch of training, however it is divided.

    Examples:
        >>> a = {"train_cfg": {"max_iters": 5}, "bench": {"task": "det", "method": "mixpro"}, "randomness": {"seed": 1}}
        >>> b = {"train_cfg": {"max_iters": 5}, "bench": {"task": "det", "method": "cutmix"}, "randomness": {"seed": 2}}
        >>> recipe_hash(a) == recipe_hash(b)
        True
        >>> recipe_hash(a) == recipe_hash({**b, "train_cfg": {"max_iters": 6}})
        False
        >>> one_process, two_processes = ({"train_dataloader": {"batch_size": size}} for size in (8, 4))
        >>> recipe_hash(one_process) == recipe_hash(two_processes, world_size=2)
        True
    """
    plain = _plain(cfg)
    loader, wrapper = plain.get("train_dataloader"), plain.get("optim_wrapper")
    if isinstance(loader, dict) and "batch_size" in loader:
        steps = wrapper.pop("accumulative_counts", 1) if isinstance(wrapper, dict) else 1
        loader["batch_size"] *= world_size * steps
        if not wrapper:
            plain.pop("optim_wrapper", None)
    bench = {key: value for key, value in (plain.pop("bench", None) or {}).items() if key in _BENCH_RECIPE}
    return _sha256({"bench": bench, "recipe": _recipe(plain)})


def canonical_json(value: Any) -> str:
    """Return JSON in one spelling: sorted keys, no spaces, tuples as lists, classes and functions by name."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _recipe(value: Any) -> Any:
    if isinstance(value, dict):
        # What stands behind the backbone says the backbone's widths.
        adapter = _WIDTHS if str(value.get("type", "")).endswith("Pyramid") else frozenset()
        return {
            key: _recipe(item)
            for key, item in value.items()
            if key not in _NOT_RECIPE | PATHS | adapter and not _is_method(item)
        }
    if isinstance(value, list):
        return [_recipe(item) for item in value if not _is_method(item)]
    return "<path>" if isinstance(value, str) and value.startswith(("/", "~")) else value


def _is_method(value: Any) -> bool:
    """Tell the parts of a config that are a mixing method, whatever key they lie under."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return False
    from mixpro_bench.registry import BATCH_AUGMENTS, LABELERS

    name = value["type"]
    if name.rsplit(".", 1)[-1] in ("Branch", "Handover", "MixPolicy", "MixProHook"):
        return True
    return name.startswith("mixpro_bench.") and any(registry.get(name) for registry in (BATCH_AUGMENTS, LABELERS))


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict") and not isinstance(value, dict):  # a mmengine Config
        value = value.to_dict()
    if isinstance(value, Mapping):
        plain = {str(key): _plain(item) for key, item in value.items()}
        if str(plain.get("type", "")).endswith("Handover"):
            plain.pop("checkpoint", None)
        return plain
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name else str(value)


def _sha256(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _line(error: BaseException) -> str:
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return (str(text).strip().splitlines() or [type(error).__name__])[0]
