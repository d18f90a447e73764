"""``mixpro-bench robustness CONFIG CHECKPOINT``: what else pretrained weights are good for, part by part."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    from mixpro_bench.compat import quiet
    from mixpro_bench.robustness.part import MODULES

    quiet.install()
    from mmengine.config import DictAction

    parser.add_argument("config", help="the pretraining config; its validation pictures are used")
    parser.add_argument("checkpoint", help="weights of a pretraining run, or of a layout the Handover reads")
    parser.add_argument("--parts", nargs="+", metavar="PART", help=f"default: all of {', '.join(MODULES)}")
    parser.add_argument(
        "--part-options",
        nargs="+",
        action=DictAction,
        default={},
        metavar="PART.OPTION=VALUE",
        help="options of the parts, such as occlusion.saliency=own corruptions.pictures=1000 "
        "corruptions.reference=RECORD corruptions.folder=IMAGENET_C external.imagenet_a=PATH external.imagenet_r, "
        "_v2, _sketch, _o, external.objectnet, external.ood=PATH",
    )
    parser.add_argument(
        "--work-dir", metavar="DIR", help="takes a folder per part (default: robustness beside CHECKPOINT)"
    )
    parser.add_argument("--here", action="store_true", help="one part: its Record goes into --work-dir itself")
    parser.add_argument("--features-dir", metavar="DIR", help="where features are kept (default: the work dir)")
    parser.add_argument("--limit", type=int, metavar="N", help="measure on N pictures, evenly spread (default: all)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images per pass (default: the config's)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that read pictures (default: the config's)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn, the same for every model")
    parser.add_argument("--device", help="default: cuda where there is one, else cpu")
    parser.add_argument("--launcher", choices=("none", "pytorch", "slurm", "mpi"), help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help="check what is asked for, then stop")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change the config")


def run(args: argparse.Namespace) -> int:
    """Measure the parts and print what they found; 0 when all are done."""
    from pathlib import Path

    from mixpro_bench.errors import UserError
    from mixpro_bench.processes import launcher_of
    from mixpro_bench.robustness.load import load_subject
    from mixpro_bench.robustness.part import MODULES, make_part, options_by_part
    from mixpro_bench.robustness.processes import join_processes
    from mixpro_bench.robustness.report import Reporter
    from mixpro_bench.robustness.run import run_parts

    options = options_by_part(args.part_options)
    names = list(dict.fromkeys(args.parts or MODULES))
    parts = [make_part(name, options.pop(name, {})) for name in names]
    if args.here and len(parts) != 1:
        raise UserError(f"--here takes one part, not {', '.join(names)}")
    if options:
        raise UserError(f"--part-options names {sorted(options)[0]!r}, which is not among the parts {', '.join(names)}")
    work_dir = args.work_dir or Path(args.checkpoint).parent / "robustness"
    with join_processes(launcher_of(args.launcher)):
        subject = load_subject(
            args.config,
            args.checkpoint,
            options=args.cfg_options,
            device=args.device,
            batch_size=args.batch_size,
            workers=args.workers,
            limit=args.limit,
            seed=args.seed,
            work_dir=args.features_dir or work_dir,
        )
        if args.check:
            for part in parts:
                part.check(subject)
            return 0
        with Reporter() as reporter:
            run_parts(subject, parts, work_dir, here=args.here, progress=reporter.progress, done=reporter.done)
    return 0
