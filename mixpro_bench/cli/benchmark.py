"""``mixpro-bench benchmark step|mixing|systems|resume``: what mixing and systems cost; do killed runs resume."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    step = kinds.add_parser("step", help="training steps of several methods, relative to a step without mixing")
    step.add_argument(
        "--methods",
        default="none,cutmix,maskmix,mixpro,transmix,tl_align,tokenmix,smmix",
        metavar="NAMES",
        help="presets, separated by commas; maskmix is MaskMix with area labels",
    )
    step.add_argument("--model", default="deit_tiny_patch16_224", metavar="NAME", help="a timm model")
    step.add_argument("--amp", action="store_true", help="train under bfloat16 autocast")
    mixing = kinds.add_parser("mixing", help="image operations, relative to a copy of the batch")
    for sub, batch in ((step, 16), (mixing, 128)):
        sub.add_argument("--batch-size", type=int, default=batch, metavar="N", help=f"images (default: {batch})")
        sub.add_argument("--img-size", type=int, default=224, metavar="PIXELS", help="pixels per side (default: 224)")
        sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
        sub.add_argument(
            "--steps", type=int, metavar="N", help="rounds that count (default: enough for a steady median)"
        )
        sub.add_argument("--json", action="store_true", help="print JSON")
    systems = kinds.add_parser(
        "systems", help="one training step of every system for one detection image, each in a process of its own"
    )
    systems.add_argument("names", nargs="*", metavar="NAME", help="systems (default: all)")
    systems.add_argument(
        "--size", nargs=2, type=int, default=(800, 1333), metavar=("H", "W"), help="image (default: 800 1333)"
    )
    systems.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    systems.add_argument("--amp", action="store_true", help="run under bfloat16 autocast")
    systems.add_argument(
        "--small", action="store_true", help="the tiny variants of the tests instead of published ones"
    )
    systems.add_argument(
        "--timeout",
        type=float,
        default=1800,
        metavar="S",
        help="seconds after which a system is given up (default: 1800)",
    )
    systems.add_argument("--store", action="store_true", help="keep the result in the package, for docs/systems.md")
    systems.add_argument("--json", action="store_true", help="print JSON")
    resume = kinds.add_parser(
        "resume",
        help="kill short runs at random, start them again, and compare them by bits with runs that were left alone",
    )
    resume.add_argument("--kills", type=int, default=20, metavar="N", help="kills in all (default: 20)")
    resume.add_argument("--stages", default="pretrain,det,seg", metavar="NAMES", help="stages, separated by commas")
    resume.add_argument("--seed", type=int, default=0, help="seed of the moments (default: 0)")
    resume.add_argument("--keep", metavar="DIR", help="keep data, runs and logs in this new folder")
    resume.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Measure, and print the table."""
    # Where torch knows of GPUs and there is none, its profiler says so on every use.
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")
    from rich.console import Console
    from rich.progress import track

    from mixpro_bench.benchmark.measure import pick_device
    from mixpro_bench.errors import UserError

    if args.kind == "systems":
        return _systems(args)
    if args.kind == "resume":
        return _resume(args)
    if args.batch_size < 2 or args.batch_size % 2:
        raise UserError(f"--batch-size {args.batch_size}: images are mixed two by two, so give an even number")
    if args.steps is not None and args.steps < 1:
        raise UserError(f"--steps {args.steps}: give at least one")
    device = pick_device(args.device)

    def show(rounds: range) -> Any:
        return track(rounds, description="rounds", console=Console(stderr=True), transient=True)

    common = dict(batch_size=args.batch_size, img_size=args.img_size, rounds=args.steps, show=show)
    if args.kind == "step":
        from mixpro_bench.benchmark.step import benchmark_step

        backbone = dict(type="mixpro_bench.TimmBackbone", name=args.model, img_size=args.img_size)
        result = benchmark_step(args.methods.split(","), backbone, device, amp=args.amp, **common)
    else:
        from mixpro_bench.benchmark.mixing import benchmark_mixing

        if args.img_size % 32:
            raise UserError(f"--img-size {args.img_size} is no multiple of 32, the cell of MaskMix")
        result = benchmark_mixing(device, **{**common, "rounds": args.steps or 20})
    print(json.dumps(result, indent=2) if args.json else table(result))
    return 0


def _systems(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import Progress
    from tabulate import tabulate

    from mixpro_bench.systems import system, systems
    from mixpro_bench.systems.cost import measure_all, store

    chosen = [system(name) for name in args.names] or list(systems())
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("systems", total=len(chosen))
        result = measure_all(
            chosen,
            args.device,
            size=tuple(args.size),
            amp=args.amp,
            small=args.small,
            timeout=args.timeout,
            done=lambda one: progress.advance(bar),
        )
    if args.store:
        store(result)
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        rows = [{"system": name, **found} for name, found in result["systems"].items()]
        print(", ".join(f"{key} {value}" for key, value in result["setting"].items() if value is not None))
        print(tabulate(rows, headers="keys", tablefmt="simple"))
    return int(any("failed" in found for found in result["systems"].values()))


def _resume(args: argparse.Namespace) -> int:
    import tempfile
    from pathlib import Path

    from rich.console import Console
    from rich.progress import Progress
    from tabulate import tabulate

    from mixpro_bench.benchmark.resume import STAGES, benchmark_resume, holds, summary
    from mixpro_bench.errors import UserError

    stages = args.stages.split(",")
    if unknown := [name for name in stages if name not in STAGES]:
        raise UserError(f"--stages {args.stages}: {unknown[0]!r} is none of {', '.join(STAGES)}")
    if args.kills < len(stages):
        raise UserError(f"--kills {args.kills}: give at least one for each of the {len(stages)} stages")
    if args.keep and Path(args.keep).exists():
        raise UserError(f"--keep {args.keep} exists: name a new folder")
    kills = {name: len(range(number, args.kills, len(stages))) for number, name in enumerate(stages)}
    with (
        tempfile.TemporaryDirectory(prefix="mixpro-resume-", ignore_cleanup_errors=True) as temporary,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        bar = progress.add_task("", total=args.kills)
        result = benchmark_resume(
            kills,
            Path(args.keep or temporary).absolute(),
            seed=args.seed,
            tell=lambda what, done: progress.update(bar, description=what, completed=done),
        )
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        print(tabulate([summary(row) for row in result["rows"]], headers="keys", tablefmt="simple"))
    return int(not all(holds(row) for row in result["rows"]))


def table(result: dict[str, Any]) -> str:
    """Return a result as text: its setting, and a line per row."""
    from tabulate import tabulate

    setting = ", ".join(f"{key} {value}" for key, value in result.items() if key != "rows" and value is not None)
    rows = [
        {
            key: "-" if row[key] is None else row[key] if isinstance(row[key], str) else f"{row[key]:.{digits}f}"
            for key, digits in (
                *((key, 0) for key in ("method", "operation") if key in row),
                ("ms", 1),
                ("ratio", 3),
                ("low", 3),
                ("high", 3),
                ("peak_mib", 0),
                ("memory_ratio", 3),
            )
        }
        for row in result["rows"]
    ]
    return f"{setting}\n{tabulate(rows, headers='keys', tablefmt='simple')}"
