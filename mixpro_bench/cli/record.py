"""``mixpro-bench record``: show a Record, check Records, or say what differs between two runs."""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="show one Record")
    show.add_argument("path", help="a Record, or the folder of its run")
    show.add_argument("--json", action="store_true", help="as JSON, in the newest schema version")
    validate = actions.add_parser("validate", help="check Records; exit status 1 if one is bad or contradicts another")
    validate.add_argument("dir", help="a Record, a results file, or a folder that is searched with all folders below")
    diff = actions.add_parser("diff", help="say what differs between two runs: config, data, code, versions, metrics")
    diff.add_argument("a", help="a Record, or the folder of its run")
    diff.add_argument("b", help="the same of the other run")
    diff.add_argument("--json", action="store_true", help="as JSON")
    actions.add_parser("schema", help="print the JSON Schema of a Record")


def run(args: argparse.Namespace) -> int:
    """Run the action."""
    return {"show": _show, "validate": _validate, "diff": _diff, "schema": _schema}[args.action](args)


def _show(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mixpro_bench.leaderboard.diff import record_path, title_of
    from mixpro_bench.leaderboard.record import read_record, record_id
    from mixpro_bench.leaderboard.show import describe

    record = read_record(record_path(args.path))
    if args.json:
        print(record.model_dump_json(indent=2))
        return 0
    print(f"{title_of(record)}  [{record_id(record)}]")
    table = Table(show_header=False)
    for key, text in describe(record):
        table.add_row(Text(key), Text(text))
    Console().print(table)
    return 0


def _validate(args: argparse.Namespace) -> int:
    from mixpro_bench.leaderboard.index import check

    index, problems = check(args.dir)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(index.records)} good Records, {len(problems)} problems")
    return 1 if problems else 0


def _diff(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mixpro_bench.leaderboard.diff import diff_runs

    found = diff_runs(args.a, args.b)
    if args.json:
        print(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False, default=str))
    elif not found:
        print("no difference")
    else:
        table = Table("part", "key", "a", "b")
        for one in found:
            table.add_row(*(Text(str(value)) for value in (one.part, one.key, one.a, one.b)))
        Console().print(table)
    return 0


def _schema(args: argparse.Namespace) -> int:
    from mixpro_bench.leaderboard.record import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0
