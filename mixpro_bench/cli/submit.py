"""``mixpro-bench submit RUN --to FILE``: add Records to a results file that is kept in git, or check such files."""

from __future__ import annotations

import argparse
import sys

from mixpro_bench.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        "Add Records of finished runs to a results file: JSON lines, sorted, one Record each with the sha256 of its "
        "content. Or check such files (--check), for a continuous integration: a line that cannot be read, a missing "
        "field, a checksum that does not fit, a duplicate or a wrong order ends it with exit status 1."
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="folder of a finished run, or its record.json")
    parser.add_argument("--to", metavar="FILE", help="results file, such as results.jsonl; made if it is missing")
    parser.add_argument("--curves", action="store_true", help="keep the curves too; a line is then many times longer")
    parser.add_argument("--check", nargs="+", metavar="FILE", help="check these results files, and change nothing")


def run(args: argparse.Namespace) -> int:
    """Submit or check."""
    from mixpro_bench.leaderboard.submission import check, submit

    if args.check:
        if args.runs or args.to:
            raise UserError("submit takes either RUN and --to FILE, or --check FILE")
        good, problems = check(args.check)
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{good} good Records, {len(problems)} problems")
        return 1 if problems else 0
    if not args.runs or not args.to:
        raise UserError("submit takes RUN and --to FILE, such as 'mixpro-bench submit work_dirs/a --to results.jsonl'")
    for path in args.runs:
        print(f"{args.to}: {submit(path, args.to, curves=args.curves)}")
    return 0
