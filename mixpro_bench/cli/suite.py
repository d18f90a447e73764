"""``mixpro-bench suite CONFIG --work-dir DIR``: every run of a suite, then the leaderboard."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("config", help="suite config, such as configs/suites/demo.py")
    parser.add_argument("--work-dir", required=True, help="folder of all runs; what is finished there is kept")
    parser.add_argument("--jobs", type=int, help="runs at once; the suite config's own number if not given")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="RUN", help="only these runs and what they need: det, 'det/mixpro/*'"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be run")


def run(args: argparse.Namespace) -> int:
    """Run the suite; 1 if a run failed."""
    from mixpro_bench.suite.execute import LocalExecutor
    from mixpro_bench.suite.main import dry_run, run_suite
    from mixpro_bench.suite.plan import build_plan

    plan = build_plan(args.config, args.work_dir, args.only, dry=args.dry_run)
    if args.dry_run:
        return dry_run(plan)
    return run_suite(plan, args.work_dir, executor=LocalExecutor(args.jobs if args.jobs is not None else plan.jobs))
