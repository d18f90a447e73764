"""``mixpro-bench export CKPT --format FORMAT --out FILE``: weights for other libraries, and back with ``--from``."""

from __future__ import annotations

import argparse

FORMATS = ("timm", "mmseg-vit", "safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("checkpoint", help="the file to convert")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--format", choices=FORMATS, help="write the weights in this format")
    way.add_argument("--from", dest="source", choices=FORMATS, help="the file has this format: make it one of ours")
    parser.add_argument("--out", required=True, metavar="FILE", help="the new file; nothing is overwritten")
    parser.add_argument(
        "--weights",
        choices=("auto", "raw", "ema"),
        default="auto",
        help="which weights; auto: as the method's own results are reported",
    )


def run(args: argparse.Namespace) -> int:
    """Convert, and say what was written."""
    from mixpro_bench.transfer.card import card_path
    from mixpro_bench.transfer.export import export_checkpoint, import_checkpoint

    if args.format:
        card = export_checkpoint(args.checkpoint, args.out, args.format, args.weights)
    else:
        card = import_checkpoint(args.checkpoint, args.out, args.source, args.weights)
    print(f"written: {args.out} ({card.weights} weights, sha256 {card.sha256[:12]}) and {card_path(args.out)}")
    if card.use:
        print("backbone=dict(" + ", ".join(f"{key}={value!r}" for key, value in card.use.items()) + ")")
    return 0
