"""``mixpro-bench browse CONFIG --out FILE``: look before you train."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    from mmengine.config import DictAction

    parser.add_argument("config", help="a config of configs/pretrain")
    parser.add_argument("--out", required=True, metavar="FILE", help="the picture: .png, .pdf or .svg")
    parser.add_argument("--checkpoint", metavar="FILE", help="weights of a pretraining run (default: untrained)")
    parser.add_argument("--samples", type=int, default=6, metavar="N", help="images, an even number")
    parser.add_argument("--step", type=int, metavar="K", help="training step (default: the first of the method's own)")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change the config, such as a.b=3"
    )


def run(args: argparse.Namespace) -> int:
    """Draw the picture and say where it is."""
    from mixpro_bench.config import load_config
    from mixpro_bench.errors import UserError
    from mixpro_bench.launch import clear_errors

    if args.samples < 2 or args.samples % 2:
        raise UserError(f"--samples {args.samples}: images are mixed two by two, so give an even number")
    cfg = load_config(args.config, args.cfg_options)
    with clear_errors():
        from mixpro_bench.datasets.fingerprint import check_data
        from mixpro_bench.pretrain.browse import browse, save

        check_data(cfg)
        path = save(browse(cfg, args.samples, args.step, args.checkpoint), args.out)
    print(path)
    return 0
