"""``mixpro-bench methods``: what can be run, where it comes from, and whether it is what its authors released."""

from __future__ import annotations

import argparse
import inspect
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print mixers, labelers and presets."""
    tables = listing()
    if args.json:
        print(json.dumps(tables, indent=2))
        return 0
    from tabulate import tabulate

    heads = {
        "mixers": "Image space: policy.branches[i].mixer=dict(type=...)",
        "labelers": "Label space: policy.branches[i].labeler=dict(type=...)",
        "presets": "Presets: policy=dict(preset=...)",
    }
    for name, rows in tables.items():
        print(heads[name])
        print(tabulate([_flat(row) for row in rows], headers="keys", tablefmt="simple"), end="\n\n")
    return 0


def listing() -> dict[str, list[dict]]:
    """Return the three tables as rows of primitives.

    ``kind`` is ``baseline``, ``official`` (the maths of the released code, for a component under the arguments named
    in ``exact_with``), ``fixed`` or ``ours``. ``mix`` says whose shares a preset's branches have: ``official``, the
    authors'; ``common``, one for all methods; or ``both``.
    """
    from mixpro_bench.presets import PRESETS
    from mixpro_bench.registry import BATCH_AUGMENTS, LABELERS

    for registry in (BATCH_AUGMENTS, LABELERS):
        registry.import_from_location()
    presets = [
        {
            "name": p.name,
            "method": p.method,
            "kind": p.kind,
            "mix": p.mix,
            "options": list(inspect.signature(p.build).parameters),
            "source": p.source,
        }
        for p in PRESETS.values()
    ]
    return {"mixers": _components(BATCH_AUGMENTS), "labelers": _components(LABELERS), "presets": presets}


def _components(registry) -> list[dict]:
    rows = []
    for name, cls in sorted(registry.module_dict.items()):
        kind = "ours" if cls.exact is None else "baseline" if cls.exact == "always" else "official"
        rows.append({"name": name, "kind": kind, "exact_with": cls.exact, "source": cls.source})
    return rows


def _flat(row: dict) -> dict:
    return {key: ", ".join(value) if isinstance(value, list) else value for key, value in row.items()}
