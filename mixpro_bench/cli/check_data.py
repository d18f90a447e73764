"""``mixpro-bench check-data``: what is there of a data set, what is missing and what is wrong."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mixpro_bench.errors import UserError

# Options that only some of the data sets know.
ONLY = {
    "train_ann": ("coco",),
    "val_ann": ("coco",),
    "class_file": ("imagenet", "ade20k"),
    "keep_zero_label": ("ade20k",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    hidden = argparse.SUPPRESS  # the default is none, or depends on the data set
    parser.add_argument("dataset", choices=("imagenet", "coco", "ade20k"), help="layout of the data")
    parser.add_argument("path", type=Path, metavar="PATH", help="folder of the data")
    parser.add_argument("--deep", action="store_true", help="decode every picture and mask instead of a sample")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes that decode")
    parser.add_argument("--classes", type=int, metavar="N", default=hidden, help="expected classes: 1000, 80 or 150")
    parser.add_argument("--train", metavar="NAME", default=hidden, help="name of the training split or its folder")
    parser.add_argument("--val", metavar="NAME", default=hidden, help="name of the validation split or its folder")
    parser.add_argument("--train-ann", metavar="FILE", default=hidden, help="COCO: training annotations, under PATH")
    parser.add_argument("--val-ann", metavar="FILE", default=hidden, help="COCO: validation annotations, under PATH")
    parser.add_argument("--class-file", type=Path, metavar="FILE", default=hidden, help="list of the classes")
    parser.add_argument(
        "--keep-zero-label", action="store_true", default=hidden, help="ADE20K layout: value 0 is a class of its own"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="look again at files that an earlier deep check found good"
    )


def run(args: argparse.Namespace) -> int:
    """Check the data and print the report; 1 if a run would fail on them."""
    from rich.console import Console

    from mixpro_bench.datasets.check import Report, Scanner, check_ade, check_coco, check_imagenet
    from mixpro_bench.datasets.check.outcome import remember

    path = args.path.expanduser()
    if not path.is_dir():
        raise UserError(f"the data folder '{path}' does not exist: give the folder that holds the data")
    names = ("classes", "train", "val", "train_ann", "val_ann", "class_file", "keep_zero_label")
    told: dict[str, Any] = {name: getattr(args, name) for name in names if hasattr(args, name)}
    for name, known in ONLY.items():
        if name in told and args.dataset not in known:
            raise UserError(
                f"--{name.replace('_', '-')} means nothing for {args.dataset}: it is for {', '.join(known)}"
            )
    for name in ("classes", "jobs"):
        if getattr(args, name, 1) < 1:
            raise UserError(f"--{name} is {getattr(args, name)}, but must be at least 1")
    if "class_file" in told and not told["class_file"].is_file():
        raise UserError(f"the class list '{told['class_file']}' does not exist: correct --class-file")
    if told.pop("keep_zero_label", False):
        told["reduce_zero_label"] = False
    scanner = Scanner(path, args.deep, args.jobs, remember=not args.fresh, console=Console(stderr=True))
    checks: dict[str, Callable[..., Report]] = {"imagenet": check_imagenet, "coco": check_coco, "ade20k": check_ade}
    report = checks[args.dataset](path, scanner, **told)
    remember(path, report.ok, args.deep)
    if args.json:
        extra = {"deep": args.deep, "looked_at": scanner.looked, "remembered": scanner.remembered}
        print(json.dumps({**report.to_dict(), **extra}, indent=2))
        return 0 if report.ok else 1
    for split, facts in report.counts.items():
        words = (f"{k.replace('_', ' ')} {v:,}" if isinstance(v, int) else f"{v}" for k, v in facts.items())
        print(f"{split}: {', '.join(words)}")
    print(
        f"files looked at: {scanner.looked:,}"
        + (f", known from before: {scanner.remembered:,}" * bool(scanner.remembered))
    )
    for level in ("error", "warning", "note"):
        for finding in report.findings:
            if finding.level == level:
                print(f"{level}: {finding.text}")
    print("a run can start on these data" if report.ok else "a run on these data would fail: correct the errors first")
    return 0 if report.ok else 1
