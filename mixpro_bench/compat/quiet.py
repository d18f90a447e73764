"""A warning that nobody who runs this package can do anything about.

Reason: mmengine imports pkg_resources, which announces its own end in every process that does so.
Can go when mmengine no longer imports it.
"""

from __future__ import annotations

import warnings


def install() -> None:
    """Leave the warning out; it must be called before mmengine is imported. Idempotent."""
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated as an API")
