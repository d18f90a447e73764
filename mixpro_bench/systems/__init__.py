"""The table of systems: every backbone of the benchmark, with its sizes, sources and published numbers.

One file per system in ``entries``; nothing here needs torch but `mixpro_bench.systems.checks` and what measures.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from mixpro_bench.errors import UserError
from mixpro_bench.systems import entries
from mixpro_bench.systems.model import Number, System, Variant

__all__ = ["Number", "System", "Variant", "system", "systems"]


@cache
def systems() -> tuple[System, ...]:
    """Return all systems, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(entries.__path__))
    found = [one for name in names for one in importlib.import_module(f"{entries.__name__}.{name}").SYSTEMS]
    return tuple(sorted(found, key=lambda one: one.name.lower()))


def system(name: str) -> System:
    """Return a system by name, whatever the case.

    Raises:
        UserError: If there is none of that name.
    """
    by_name = {one.name.lower(): one for one in systems()}
    if name.lower() not in by_name:
        close = difflib.get_close_matches(name.lower(), by_name, n=1)
        near = f"; did you mean {by_name[close[0]].name!r}?" if close else ""
        raise UserError(f"there is no system {name!r}{near} (mixpro-bench systems lists all)")
    return by_name[name.lower()]
