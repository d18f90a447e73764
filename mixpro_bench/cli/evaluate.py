"""``mixpro-bench evaluate RUN``: evaluate a finished run again, keep its predictions, draw some of them."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("folder", metavar="RUN", help="work dir of a finished run")
    parser.add_argument("--checkpoint", metavar="FILE", help="another checkpoint than the run's last")
    parser.add_argument(
        "--dump",
        metavar="PATH",
        help="keep predictions: PATH.bbox.json and PATH.segm.json (COCO results) of a detector, a folder of PNG masks "
        "of a segmenter, a .npz or .safetensors file of a classifier's scores; below RUN, the Record names them",
    )
    parser.add_argument("--show", type=int, default=0, metavar="N", help="draw N pictures")
    parser.add_argument("--show-dir", metavar="DIR", help="where they go (default: show in the work dir)")


def run(args: argparse.Namespace) -> int:
    """Print the metrics beside the Record's; 1 if they differ."""
    from mixpro_bench.evaluation import evaluate, rows

    found = evaluate(args.folder, checkpoint=args.checkpoint, dump=args.dump, show=args.show, show_dir=args.show_dir)
    lines = [("metric", "Record", "now", ""), *rows(found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print(
            "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, "<>><", widths, strict=True)).rstrip()
        )
    for path in found.written:
        print(f"written: {path}")
    if found.recorded is None:
        print(f"{found.checkpoint}: there is no Record of this checkpoint to compare with")
        return 0
    differ = found.differences()
    print(f"{len(differ)} of {len(lines) - 1} metrics differ from the Record" if differ else "the Record is confirmed")
    return 1 if differ else 0
