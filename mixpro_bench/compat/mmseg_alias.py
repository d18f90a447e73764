"""``_base_ = 'mmseg::...'`` whatever the distribution is called.

Reason: mmengine finds the configs of ``mmseg`` through the name ``mmsegmentation`` of its distribution; forks of it are
distributed under other names, and their configs are then not found.
Can go when mmengine looks for the package rather than for the distribution.
"""

from __future__ import annotations


def install() -> None:
    """Let mmengine look for the package ``mmseg``. Idempotent."""
    from importlib.metadata import PackageNotFoundError, distribution

    from mmengine.config.utils import MODULE2PACKAGE

    try:
        distribution("mmsegmentation")
    except PackageNotFoundError:
        MODULE2PACKAGE["mmseg"] = "mmseg"
