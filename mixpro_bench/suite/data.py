"""The data of a suite: the built-in sets, or anybody's own by a few settings."""

from __future__ import annotations

import json
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


class SuiteData:
    """What a suite config says about data, made ready.

    Args:
        setting: ``'digits'``: the built-in data, made if it is missing. A dict of settings by task (``pretrain``,
            ``det``, ``seg``): put into the configs. None: the configs' own data.
        source: The suite config, named in errors.

    Raises:
        UserError: If the setting is of neither kind.
    """

    def __init__(self, setting: str | Mapping[str, Any] | None, source: Path) -> None:
        self._source = source
        self._settings: dict[str, dict[str, Any]] = {}
        self._fingerprints: dict[str, str] = {}
        self._all: str | None = None
        if setting == DIGITS:
            from mixpro_bench.datasets.digits import build_digits

            folder = build_digits(os.environ.get(DIGITS_ENV, DIGITS_ROOT))
            self._all = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["sha256"]
        elif isinstance(setting, Mapping):
            self._settings = {task: dict(values) for task, values in setting.items()}
        elif setting is not None:
            raise UserError(f"suite config {source}: data is {setting!r}; known are {DIGITS!r} and a dict by task")

    def apply(self, cfg: Config, task: str) -> None:
        """Put the settings of a task into its config, in place."""
        if not self._settings:
            return
        from mixpro_bench.datasets import settings

        if task not in self._settings:
            raise UserError(f"suite config {self._source}: data says nothing of {task!r}: add data.{task}=dict(...)")
        use = {"pretrain": "use_classification", "det": "use_detection", "seg": "use_segmentation"}[task]
        getattr(settings, use)(cfg, **self._settings[task])
        if task not in self._fingerprints:
            self._fingerprints[task] = settings.fingerprint(cfg)

    def fingerprint(self, task: str) -> str | None:
        """Return the fingerprint of a task's data, None where the config's own data is used."""
        return self._fingerprints.get(task, self._all)
