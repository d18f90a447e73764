"""Every accommodation of a dependency: one small file each, with the reason and the condition under which it can go.

`install` applies what must be in place before mmdet or mmseg are imported. The registered classes of this room are
imported by its ``registered`` module, so that ``from mixpro_bench.compat.mmcv_ops import backend`` stays cheap.
"""

from __future__ import annotations

from mixpro_bench.compat import mmcv_ops, mmseg_alias, quiet


def install() -> None:
    """Apply what must be in place before mmdet or mmseg are imported. Idempotent."""
    quiet.install()
    mmcv_ops.install()
    mmseg_alias.install()
