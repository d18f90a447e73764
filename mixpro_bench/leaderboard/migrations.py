"""Bringing Records of older schema versions up to date, one version at a time.

A field that may be absent is no new version: readers of before keep it unread. A field that is needed, renamed or means
something else is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Migration = Callable[[dict[str, Any]], dict[str, Any]]

# Version -> what makes a Record of the next version out of one of it. Version 1 is the first there is.
MIGRATIONS: dict[int, Migration] = {}


def migrate(
    data: Mapping[str, Any], version: int, to: int, migrations: Mapping[int, Migration] = MIGRATIONS
) -> dict[str, Any]:
    """Return a Record's data in schema version ``to``.

    Args:
        data: What JSON gave; left as it is.
        version: Its version, not newer than ``to``.
        to: Version wanted.
        migrations: Steps by the version they start from.
    """
    current = dict(data)
    for step in range(version, to):
        current = {**migrations[step](dict(current)), "schema_version": step + 1}
    return current
