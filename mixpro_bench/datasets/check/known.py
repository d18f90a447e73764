"""Known facts of the field's data sets: sizes and class names."""

from __future__ import annotations

from functools import cache

from mixpro_bench.datasets.check.report import Report

# Pictures in train and val, from the pages of the data sets.
COUNTS = {
    "imagenet": ("ImageNet-1k", {"train": 1_281_167, "val": 50_000}),
    "coco": ("COCO 2017", {"train": 118_287, "val": 5_000}),
    "ade20k": ("ADE20K's SceneParsing set", {"train": 20_210, "val": 2_000}),
}
CLASSES = {"imagenet": 1000, "coco": 80, "ade20k": 150}

# mmdet takes the categories of COCO by these names; the ids run from 1 to 90 with gaps.
_COCO = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, "
    "parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, "
    "handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, "
    "surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, "
    "broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, "
    "laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, "
    "scissors, teddy bear, hair drier, toothbrush"
)
COCO_NAMES = tuple(_COCO.split(", "))


@cache
def imagenet_synsets() -> tuple[str, ...]:
    """Return the WordNet ids of ImageNet-1k in the order of their labels, from timm."""
    from timm.data.imagenet_info import ImageNetInfo

    return tuple(ImageNetInfo("imagenet-1k").label_names())


def check_counts(report: Report, found: dict[str, int], names: dict[str, str]) -> None:
    """Compare the pictures per split with each other and with the known set's.

    More pictures in val than in train is taken for an exchange of the two: no set of the field is like that.

    Args:
        report: Where findings go.
        found: Pictures in train and val.
        names: What the two are called on the disk.
    """
    title, known = COUNTS[report.kind]
    if found["val"] > found["train"]:
        report.error(
            "swapped",
            f"'{names['val']}' has {found['val']:,} pictures and '{names['train']}' only {found['train']:,}: training "
            "and validation seem to be exchanged; rename them, or say which is which by --train and --val",
        )
    for split, number in found.items():
        if number != known[split]:
            report.note(
                "count",
                f"'{names[split]}' has {number:,} pictures, while {title} has {known[split]:,}: results are comparable "
                "only between runs on the same data",
            )
