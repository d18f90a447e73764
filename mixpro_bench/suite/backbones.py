"""The backbones of a suite: one config per backbone, or the tiny variant of each system in one config for all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixpro_bench.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

PLACE = "{backbone}"


def check_backbones(suite: Mapping[str, Any], where: str) -> None:
    """Refuse a suite whose backbones and configs do not belong together.

    Args:
        suite: The suite config: ``backbones``, and entries with ``config`` and ``tiny``.
        where: The suite config, as errors call it.

    Raises:
        UserError: If backbones are named that no entry takes, or an entry takes what is not named.
    """
    entries = {"pretrain": suite["pretrain"], **suite["tasks"]}
    for task, entry in entries.items():
        if not isinstance(entry, Mapping):
            continue  # refused elsewhere
        takes = PLACE in str(entry.get("config", "")) or bool(entry.get("tiny"))
        if takes and not suite.get("backbones"):
            raise UserError(f"{where}: {task} is for several backbones, but backbones=[...] names none")
        if suite.get("backbones") and not takes:
            raise UserError(
                f"{where}: backbones would all be the same in {task}: write {PLACE} in its config's name, or tiny=True"
            )


def slug(name: str) -> str:
    """Return the name of a backbone as folders are called.

    Examples:
        >>> slug("PVT v2"), slug("hornet_tiny")
        ('pvt_v2', 'hornet_tiny')
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def with_tiny(cfg: Config, name: str) -> Config:
    """Return a config with the tiny variant of a system in place of its backbone.

    Raises:
        UserError: If there is no system of that name.
    """
    from mixpro_bench.systems import system
    from mixpro_bench.systems.swap import put_backbone

    one = system(name)
    return put_backbone(cfg, one.small_config(), f"{slug(one.name)}_test")


def backbones_of(names: Sequence[str] | None) -> list[str | None]:
    """Return the backbones of a suite; one that names none has one, that of its configs."""
    return [*names] if names else [None]
