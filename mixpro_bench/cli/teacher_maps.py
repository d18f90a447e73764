"""``mixpro-bench teacher-maps CONFIG --model NAME --out FILE``: store a teacher's scores of every training picture."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    from mixpro_bench.compat import quiet

    quiet.install()
    from mmengine.config import DictAction

    parser.add_argument("config", help="a pretraining config; the maps are made of its training pictures")
    parser.add_argument("--model", required=True, metavar="NAME", help="timm model that is the teacher")
    parser.add_argument("--out", required=True, metavar="FILE", help="file to write, *.safetensors")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="the teacher's weights, timm's or a pretraining run's; else timm's fetched"
    )
    parser.add_argument(
        "--model-args", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE", help="for timm, as img_size=448"
    )
    parser.add_argument(
        "--class-indices", metavar="FILE", help="the teacher's class index of each class of the data, one a line"
    )
    parser.add_argument("--topk", type=int, default=5, help="scores kept at each place")
    parser.add_argument("--batch-size", type=int, default=32, help="pictures per pass")
    parser.add_argument("--shard", type=int, default=2048, help="pictures after which the work so far is kept")
    parser.add_argument("--workers", type=int, default=1, help="processes that read pictures")
    parser.add_argument("--device", help="default: cuda where there is one, else cpu")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change the config")


def run(args: argparse.Namespace) -> int:
    """Make the maps; 0 when they are written."""
    from pathlib import Path

    import torch
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mixpro_bench.config import load_config
    from mixpro_bench.datasets.make_teacher_maps import make_teacher_maps, whole_pictures
    from mixpro_bench.errors import UserError
    from mixpro_bench.labeling.network import Teacher, read_class_indices

    if Path(args.out).suffix != ".safetensors":
        raise UserError(f"--out {args.out}: give a name that ends with .safetensors")
    classes = read_class_indices(args.class_indices) if args.class_indices else None
    cfg = load_config(args.config, args.cfg_options)
    teacher = Teacher(args.model, args.checkpoint, classes=classes, **args.model_args)
    dataset = whole_pictures(cfg, teacher)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(f"maps of {teacher.name}", total=len(dataset))
        out = make_teacher_maps(
            dataset,
            teacher,
            args.out,
            topk=args.topk,
            batch_size=args.batch_size,
            shard=args.shard,
            workers=args.workers,
            device=device,
            advance=lambda done, total: progress.update(task, completed=done, total=total),
        )
    print(f"written: {out} (train_dataloader.dataset.teacher_maps={out})")
    return 0
