"""``mixpro-bench status DIR``: what is done, running, failed and waiting in a work dir."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("dir", help="work dir of a suite or of a run")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the status; 0 also where runs have failed, since that is what one wants to read here."""
    from mixpro_bench.suite.status import print_status, read_status, to_json

    statuses = read_status(args.dir)
    if args.json:
        print(json.dumps(to_json(args.dir, statuses), indent=2))
    else:
        print_status(statuses)
    return 0
