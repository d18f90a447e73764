"""``mixpro-bench systems``: every backbone of the benchmark, its sizes and sources, and what was checked of it."""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON: all that is known of every system")
    form.add_argument("--markdown", action="store_true", help="print the page docs/systems.md")
    form.add_argument(
        "--verify",
        nargs="*",
        metavar="NAME",
        help="check these systems (all if none is named): parameters, feature maps, and a training step each of "
        "MixPro, Mask R-CNN and UperNet with the tiny variant; the outcome is stored in the package",
    )


def run(args: argparse.Namespace) -> int:
    """Print the table, or check systems."""
    if args.verify is not None:
        return _verify(args.verify)
    from mixpro_bench.systems import systems
    from mixpro_bench.systems.listing import markdown, row, short_rows

    if args.json:
        print(json.dumps({"systems": [row(one) for one in systems()]}, indent=2))
    elif args.markdown:
        print(markdown(), end="")
    else:
        from tabulate import tabulate

        print(tabulate(short_rows(), headers="keys", tablefmt="simple", disable_numparse=True))
        print(f"\n{len(systems())} systems; sources, published numbers and every check are in --json")
    return 0


def _verify(names: list[str]) -> int:
    from rich.console import Console
    from rich.progress import track

    from mixpro_bench.systems import system, systems
    from mixpro_bench.systems.verified import NAMES, store, verify

    chosen = [system(name) for name in names] or list(systems())
    known = [one.name for one in systems()]
    console = Console(stderr=True)
    failed = False
    for one in track(chosen, description="systems", console=console, transient=True):
        entry = verify(one)
        # At once: a check that kills the process leaves what was found before.
        store({one.name: entry}, known)
        failed |= bool(entry["failed"])
        print(f"{one.name}: {len(NAMES) - len(entry['failed'])} of {len(NAMES)} checks passed", flush=True)
        for name, sentence in entry["failed"].items():
            print(f"  {name}: {sentence}", file=sys.stderr)
    return int(failed)
