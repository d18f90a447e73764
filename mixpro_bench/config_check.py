"""Mistakes in a config that would otherwise pass in silence, or fail late and far from their cause.

mmengine ignores a top-level key that it does not know, and finds an unknown type only when the part is built. Both are
looked for before anything is built, and named with their place in the config.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import mmengine.registry
from mmengine.registry import Registry
from mmengine.runner import Runner

from mixpro_bench.errors import UserError
from mixpro_bench.registry import BATCH_AUGMENTS, LABELERS, SCOPE

# What mmengine and this package read from a config besides the arguments of the Runner.
_READ_ELSEWHERE = frozenset(
    {
        "activation_checkpointing",
        "bench",
        "compile",
        "custom_imports",
        "efficient_conv_bn_eval",
        "find_unused_parameters",
        "model_wrapper_cfg",
        "resume_changed_config",
        "runner_type",
        "sync_bn",
        "track",
    }
)
# Scopes whose names this package can look up; a prefix of another scope is left to mmengine.
_SCOPES = (SCOPE, "mmdet", "mmseg", "mmengine")
# Keys of a dict that mmengine takes out before it builds the type.
_NOT_ARGUMENTS = frozenset(
    {"type", "_scope_", "_delete_", "_base_", "constructor", "convert_to_iter_based", "paramwise_cfg", "priority"}
)
# Where a `type` stands, by the last key of its path -> the registry to ask first. Elsewhere a `type` without scope may
# be a plain argument (timm's transforms and mmdet's nms have one), and only a type with a scope is looked up.
_PLACES = {
    "backbone": "MODELS",
    "neck": "MODELS",
    "necks": "MODELS",
    "decode_head": "MODELS",
    "auxiliary_head": "MODELS",
    "rpn_head": "MODELS",
    "roi_head": "MODELS",
    "bbox_head": "MODELS",
    "mask_head": "MODELS",
    "data_preprocessor": "MODELS",
    "model": "MODELS",
    "custom_hooks": "HOOKS",
    "default_hooks": "HOOKS",
    "dataset": "DATASETS",
    "pipeline": "TRANSFORMS",
    "sampler": None,  # a sampler of boxes within a model, of data elsewhere
    "optim_wrapper": "OPTIM_WRAPPERS",
    "optimizer": "OPTIMIZERS",
    "param_scheduler": "PARAM_SCHEDULERS",
    "val_evaluator": "METRICS",
    "test_evaluator": "METRICS",
    "train_cfg": "LOOPS",
    "val_cfg": "LOOPS",
    "test_cfg": "LOOPS",
    "visualizer": "VISUALIZERS",
    "vis_backends": "VISBACKENDS",
    "log_processor": "LOG_PROCESSORS",
}
_ONLY_TOP = frozenset({"train_cfg", "val_cfg", "test_cfg", "model", "optim_wrapper", "visualizer", "log_processor"})


def check_config(cfg: Mapping[str, Any]) -> None:
    """Check a config before anything is built from it.

    Raises:
        UserError: A top-level key nearly is one that is read; a ``type`` does not exist; a type of this package is
            given an argument that it does not take.
    """
    plain = cfg.to_dict() if hasattr(cfg, "to_dict") else dict(cfg)
    _check_keys(plain)
    default_scope = plain.get("default_scope") or "mmengine"
    for path, part in _parts(plain, ()):
        _check_part(path, part, default_scope)


def _check_keys(plain: Mapping[str, Any]) -> None:
    known = (set(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"}) | _READ_ELSEWHERE
    for key in plain:
        if key in known or key.startswith("_"):
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.85)
        if near:
            raise UserError(f"config key '{key}' is not read by anything: did you mean '{near[0]}'?")


def _parts(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Walk over all dicts with a ``type``, outer ones first."""
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield path, value
        for key, item in value.items():
            yield from _parts(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _parts(item, (*path, index))


def _check_part(path: tuple[str | int, ...], part: dict[str, Any], default_scope: str) -> None:
    name = part["type"]
    scope, _, short = name.rpartition(".")
    place, must_exist = _place(path)
    if scope and scope not in _SCOPES:
        return
    if not scope and not must_exist:
        return
    scopes = [scope] if scope else list(dict.fromkeys([part.get("_scope_") or default_scope, default_scope]))
    found = next((cls for s in scopes if (cls := _find(s, short, place)) is not None), None)
    where = _spell(path)
    if found is None:
        near = difflib.get_close_matches(short, _names(scopes), n=1, cutoff=0.6)
        hint = f": did you mean '{f'{scope}.' if scope else ''}{near[0]}'?" if near else ""
        raise UserError(f"config key '{where}.type' names '{name}', which does not exist{hint}")
    if getattr(found, "__module__", "").split(".")[0] == SCOPE:
        _check_arguments(where, part, found)


def _check_arguments(where: str, part: dict[str, Any], cls: Any) -> None:
    known = known_arguments(cls, part)
    if known is None:
        return
    for key in part:
        if key in known or key in _NOT_ARGUMENTS:
            continue
        near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.6)
        hint = f"did you mean '{near[0]}'?" if near else f"it takes {', '.join(sorted(known)) or 'nothing'}"
        raise UserError(f"config key '{where}.{key}' is no argument of {part['type']}: {hint}")


def known_arguments(cls: Any, part: Mapping[str, Any]) -> set[str] | None:
    """Return the arguments that a class takes, its parents' too where it passes ``**kwargs`` on; None if any.

    Args:
        cls: The class.
        part: Its config: what a timm backbone takes depends on the model it names.
    """
    known: set[str] = set()
    for level in inspect.getmro(cls) if inspect.isclass(cls) else [cls]:
        if inspect.isclass(level) and "__init__" not in vars(level):
            continue
        parameters = inspect.signature(level).parameters.values()
        known |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        if rest is None:
            return known
        if rest == "timm_kwargs":
            forwarded = _timm_arguments(part.get("name"))
            return None if forwarded is None else known | forwarded
    return None


def _timm_arguments(model: Any) -> set[str] | None:
    """Return what ``timm.create_model`` takes for a model; None where timm does not know it."""
    import timm
    import torch

    if not isinstance(model, str) or not timm.is_model(model):
        return None
    with torch.device("meta"):
        built = timm.create_model(model)
    own = set(inspect.signature(timm.create_model).parameters)
    return own | {"pretrained_strict"} | set(inspect.signature(type(built)).parameters)


def _place(path: tuple[str | int, ...]) -> tuple[str | None, bool]:
    """Return the registry that is asked first at a place of the config, and whether a type there must be registered."""
    keys = [key for key in path if isinstance(key, str)]
    if not keys:
        return None, False
    if keys[0] == "default_hooks":
        return "HOOKS", True
    last = keys[-1]
    if last in _ONLY_TOP and len(keys) > 1:
        return None, False
    return _PLACES.get(last), last in _PLACES


def _find(scope: str, short: str, place: str | None) -> Any:
    registries = _registries()
    first = [registries[place]] if place else []
    rest = [registry for registry in registries.values() if registry not in first]
    for registry in [*first, *rest]:
        try:
            # Names without scope are looked for in the scope, then in its parents: that is mmengine's own rule.
            found = _in_scope(registry, scope, short)
        except ImportError as error:
            raise UserError(f"'{scope}.{short}' cannot be looked up: {error}") from error
        if found is not None:
            return found
    return None


def _in_scope(registry: Registry, scope: str, short: str) -> Any:
    if scope == registry.scope:
        return registry.get(short)
    importlib.import_module(f"{scope}.registry")
    child = registry._children.get(scope)
    return registry.get(short) if child is None else child.get(short)


def _registries() -> dict[str, Registry]:
    found = {name: value for name, value in vars(mmengine.registry).items() if isinstance(value, Registry)}
    return {**found, "BATCH_AUGMENTS": BATCH_AUGMENTS, "LABELERS": LABELERS}


def _names(scopes: Iterable[str]) -> set[str]:
    names: set[str] = set()
    for registry in _registries().values():
        names |= set(registry.module_dict)
        for scope in scopes:
            if scope in registry._children:
                names |= set(registry._children[scope].module_dict)
    return names


def _spell(path: tuple[str | int, ...]) -> str:
    """Write a path as ``--cfg-options`` takes it: ``train_dataloader.dataset.pipeline.2``."""
    return ".".join(str(key) for key in path)
