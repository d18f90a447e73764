"""``mixpro-bench watch DIR``: the runs of a work dir as they go on."""

from __future__ import annotations

import argparse

from mixpro_bench.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        "Show the runs below a folder as they go on: state, progress, time left, loss, last metrics. Ends when no run "
        "is running or about to be started, or with Ctrl-C; the exit status is 1 if a run has failed. Nothing is "
        "written and no run is touched."
    )
    parser.add_argument("dir", help="work dir of a suite or of a run, or a folder of several")
    parser.add_argument("--interval", type=float, default=2.0, metavar="SECONDS", help="time between two looks")
    parser.add_argument("--once", action="store_true", help="print one view and end; so it does where no terminal is")


def run(args: argparse.Namespace) -> int:
    """Show the view."""
    from rich.console import Console

    from mixpro_bench.suite.watch import look, view, watch

    if not args.interval > 0:
        raise UserError(f"--interval {args.interval} must be more than 0 seconds")
    console = Console()
    if not args.once and console.is_terminal:
        return watch(args.dir, interval=args.interval, console=console)
    facts = look(args.dir)
    console.print(view(facts, console.width))
    return 1 if facts["counts"]["failed"] else 0
