"""``mixpro-bench make-data``: write the built-in digits data."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dir", nargs="?", default="data/digits", metavar="DIR", help="folder that holds the sets")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenes")


def run(args: argparse.Namespace) -> int:
    """Make the data and print where it is."""
    from mixpro_bench.datasets.digits import build_digits

    folder = build_digits(args.dir, seed=args.seed)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    counts = ", ".join(f"{kind} {train} + {val}" for kind, (train, val) in manifest["counts"].items())
    print(f"{folder}: {counts} pictures (train + val), sha256 {manifest['sha256'][:16]}")
    return 0
