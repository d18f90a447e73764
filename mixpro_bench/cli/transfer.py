"""``mixpro-bench transfer``: train a detector or a segmenter on pretrained weights."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the sub-command."""
    from mixpro_bench.launch import add_run_arguments

    parser.add_argument("config", help="a config of configs/transfer")
    parser.add_argument("checkpoint", nargs="?", help="the pretraining checkpoint")
    parser.add_argument("--from-scratch", action="store_true", help="train without pretraining, knowingly")
    parser.add_argument("--check", action="store_true", help="check config, checkpoint, data and GPUs, then stop")
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Check the checkpoint, then run the training; 0 when it is finished."""
    from mixpro_bench.launch import check_start, prepare, run_training
    from mixpro_bench.transfer.start import check_upstream, set_upstream

    cfg = prepare(args)
    set_upstream(cfg, args.checkpoint, from_scratch=args.from_scratch)
    audit = check_upstream(cfg)
    if args.check:
        check_start(cfg)
        print(audit.line() if audit else "no pretrained weights are needed")
        return 0
    run_training(cfg)
    return 0
