"""``mixpro-bench suite CONFIG --work-dir DIR``: every run of a suite, then the leaderboard."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mixpro_bench.errors import UserError

if TYPE_CHECKING:
    from mixpro_bench.suite.outcome import Executor
    from mixpro_bench.suite.plan import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("config", help="suite config, such as configs/suites/demo.py")
    parser.add_argument("--work-dir", required=True, help="folder of all runs; what is finished there is kept")
    parser.add_argument("--jobs", type=int, help="local: runs at once; the suite config's own number if not given")
    parser.add_argument(
        "--gpus",
        type=int,
        metavar="N",
        help="local: GPUs of each run, other ones for each run at once as far as there are; processes on the CPU where "
        "there is none (default: 1)",
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="RUN", help="only these runs and what they need: det, 'det/mixpro/*'"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be run, and about what it costs")
    parser.add_argument(
        "--tflops",
        type=float,
        default=100.0,
        metavar="N",
        help="dry run: 1e12 operations per second that a GPU sustains, for the estimate of GPU hours",
    )
    parser.add_argument(
        "--executor",
        choices=("local", "slurm"),
        default="local",
        help="where the runs are done: on this machine, or as jobs of a SLURM cluster, called from its login node",
    )
    parser.add_argument(
        "--slurm",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="slurm: what a run asks for: gpus (per node), nodes, time, requeues, setup, or any option of sbatch such "
        "as partition=gpu or account=lab; det.gpus=4 is for one task; wins over the suite config's slurm=dict(...)",
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="slurm: submit and return; the same command watches and tables later"
    )


def run(args: argparse.Namespace) -> int:
    """Run the suite; 1 if a run failed."""
    from mixpro_bench.suite.main import dry_run, run_suite
    from mixpro_bench.suite.plan import build_plan

    if args.executor == "local" and (args.slurm or args.no_wait):
        raise UserError(
            f"{'--slurm' if args.slurm else '--no-wait'} is for --executor slurm: add that, or leave it out"
        )
    if args.executor == "slurm" and args.jobs is not None:
        raise UserError("--jobs is for --executor local: SLURM decides how many runs go on at once")
    if args.executor == "slurm" and args.gpus is not None:
        raise UserError("--gpus is for --executor local: say --slurm gpus=N")
    plan = build_plan(args.config, args.work_dir, args.only, dry=args.dry_run)
    executor = _executor(args, plan)
    if args.tflops <= 0:
        raise UserError(f"--tflops {args.tflops:g}: a positive number is expected")
    return dry_run(plan, tflops=args.tflops) if args.dry_run else run_suite(plan, args.work_dir, executor=executor)


def _executor(args: argparse.Namespace, plan: Plan) -> Executor:
    if args.executor == "local":
        from mixpro_bench.suite.execute import LocalExecutor

        return LocalExecutor(plan.jobs if args.jobs is None else args.jobs, 1 if args.gpus is None else args.gpus)
    from mixpro_bench.suite.slurm import SlurmExecutor
    from mixpro_bench.suite.slurm_options import read_options

    return SlurmExecutor(read_options(plan.slurm, args.slurm), wait=not args.no_wait)
