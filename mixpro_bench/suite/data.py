"""The data of a suite: the built-in sets, or anybody's own by a few settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpro_bench.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

DIGITS = "digits"
# Where the digits configs look for their data.
DIGITS_ENV, DIGITS_ROOT = "MIXPRO_DIGITS", "data/digits"

Setting = str | Mapping[str, Any] | None


def prepare_data(setting: Setting, source: Path) -> None:
    """Make the built-in data if the suite asks for them and they are missing.

    Args:
        setting: ``'digits'``, a dict of settings by task (see `mixpro_bench.datasets.settings`), or None for the data
            that the configs name themselves.
        source: The suite config, named in errors.

    Raises:
        UserError: If the setting is of neither kind, or the data cannot be written.
    """
    if isinstance(setting, str) and setting != DIGITS:
        raise UserError(f"suite config {source}: data is {setting!r}; known are {DIGITS!r} and a dict by task")
    if setting == DIGITS:
        from mixpro_bench.datasets.digits import build_digits

        build_digits(os.environ.get(DIGITS_ENV, DIGITS_ROOT))


def apply_data(cfg: Config, task: str, setting: Setting, source: Path, cache_dir: Path) -> Config:
    """Return the config with the suite's data in it.

    Args:
        cfg: Resolved config of a run; not changed.
        task: 'pretrain', 'det' or 'seg'.
        setting: As in `prepare_data`.
        source: The suite config, named in errors.
        cache_dir: Folder for files made from the data, such as annotations with merged classes.

    Raises:
        UserError: If the settings do not fit, or the data are not there.
    """
    if not isinstance(setting, Mapping):
        return cfg
    from mixpro_bench.datasets.settings import use_classification, use_detection, use_segmentation

    if task not in setting:
        raise UserError(f"suite config {source}: data says nothing of {task!r}: add data.{task}=dict(...)")
    if task == "pretrain":
        return use_classification(cfg, setting[task])
    if task == "det":
        return use_detection(cfg, setting[task], cache_dir)
    if task == "seg":
        return use_segmentation(cfg, setting[task])
    raise UserError(f"suite config {source}: data.{task} is for no known task: pretrain, det or seg")
