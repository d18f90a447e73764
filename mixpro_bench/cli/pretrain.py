"""``mixpro-bench pretrain``: pretrain a backbone with a mixing method."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the sub-command."""
    from mixpro_bench.launch import add_run_arguments

    parser.add_argument("config", help="a config of configs/pretrain")
    parser.add_argument("--check", action="store_true", help="check config, data and GPUs, then stop")
    parser.add_argument(
        "--compile", action="store_true", help="compile the backbone with torch.compile: minutes at first, then faster"
    )
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the training; 0 when it is finished."""
    from mixpro_bench.launch import check_start, prepare, run_training

    cfg = prepare(args)
    if args.compile:
        cfg.compile = cfg.get("compile") or True
    if args.check:
        check_start(cfg)
        return 0
    run_training(cfg)
    return 0
