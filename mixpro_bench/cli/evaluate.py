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
    parser.add_argument(
        "--corruptions",
        nargs="+",
        metavar="NAME",
        help="instead evaluate a detector or segmenter on corrupted validation images: common (15), all (19), noise, "
        "blur, weather, digital, extra, or names such as fog; an evaluation for each severity; leaves "
        "RUN/corruptions/record.json and goes on where it was interrupted",
    )
    parser.add_argument(
        "--severities",
        nargs="+",
        type=int,
        default=[1, 2, 3, 4, 5],
        metavar="S",
        help="of --corruptions (default: all)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the metrics beside the Record's; 1 if they differ."""
    if args.corruptions:
        return _corrupted(args)
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


def _corrupted(args: argparse.Namespace) -> int:
    """Evaluate on corrupted images and print what is left of each metric."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from mixpro_bench.errors import UserError
    from mixpro_bench.robustness.dense import evaluate_corrupted

    if args.dump or args.show:
        raise UserError("--corruptions keeps no predictions and draws nothing: leave out --dump and --show")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        bar = bars.add_task("corruptions", total=None)

        def tell(where: str, metrics: dict[str, float], done: int, total: int) -> None:
            bars.update(bar, completed=done, total=total, description=where)

        record, path = evaluate_corrupted(
            args.folder, args.corruptions, args.severities, checkpoint=args.checkpoint, tell=tell
        )
    print("metric  clean  mean under corruption  relative to clean, %")
    for key, clean in record.metrics.items():
        if key.startswith("corruptions/clean/"):
            name = key.removeprefix("corruptions/clean/")
            kept = record.metrics.get(f"corruptions/relative/{name}")
            mean = record.metrics[f"corruptions/mean/{name}"]
            print(f"{name}  {clean:.4g}  {mean:.4g}  {'-' if kept is None else f'{kept:.1f}'}")
    print(f"written: {path}")
    return 0
