"""``mixpro-bench pretrain``: pretrain a backbone with a mixing method."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the sub-command."""
    from mixpro_bench.launch import add_run_arguments

    parser.add_argument("config", help="a config of configs/pretrain")
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the training; 0 when it is finished."""
    from mixpro_bench.launch import prepare, run_training

    run_training(prepare(args))
    return 0
