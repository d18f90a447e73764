"""What runs are expected to cost, against arithmetic by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixpro_bench.suite.estimate import TFLOPS, Cost, cost_of, images_of, sentences
from mixpro_bench.suite.run import Run

DEIT = dict(
    bench=dict(protocol="in1k-300e"),
    model=dict(backbone=dict(type="mixpro_bench.TimmBackbone", name="deit_tiny_patch16_224")),
    train_cfg=dict(max_epochs=300),
    val_dataloader=dict(dataset=dict(transform=dict(input_size=224))),
    default_hooks=dict(checkpoint=dict(max_keep_ckpts=1)),
)


def test_deit_tiny_on_imagenet():
    cost = cost_of(DEIT, 1024)
    assert cost.images == 300 * 1_281_167
    # 1.26 GMAC (DeiT's own table says 1.3 G), forward and twice that backward, two operations each.
    assert cost.flop == pytest.approx(6 * 1.26e9 * cost.images, rel=0.02)
    assert cost.disk == 2 * 12 * 5_717_416


@pytest.mark.parametrize(
    ("cfg", "batch", "images"),
    [
        (dict(train_cfg=dict(max_iters=160_000)), 16, 2_560_000),
        (dict(train_cfg=dict(max_epochs=12), bench=dict(protocol="coco-maskrcnn-1x")), None, 12 * 117_266),
        (dict(train_cfg=dict(max_epochs=10), bench=dict(protocol="digits-cls")), 32, None),
        (dict(), 32, None),
    ],
)
def test_images_that_a_run_sees(cfg: dict, batch: int | None, images: int | None):
    assert images_of(cfg, batch) == images


def test_an_unknown_backbone_is_no_reason_to_stop():
    cfg = dict(DEIT, model=dict(backbone=dict(type="NoSuchThing")))
    assert cost_of(cfg, 1024) == Cost(300 * 1_281_167, None, 0)


def test_sentences_sum_up_what_is_to_be_done(tmp_path: Path):
    runs = [Run(task, "mixpro", seed, tmp_path) for task in ("pretrain", "det") for seed in (0, 1)]
    costs = {run.name: Cost(1, 3.6e17 if run.task == "pretrain" else None, 10**9) for run in runs}
    told = list(sentences(runs, costs, TFLOPS))
    assert told[0] == "pretrain: 2 runs, about 2.0 GPU hours and 2.0 GB of checkpoints"
    assert told[1] == "det: 2 runs, about 0.0 GPU hours (2 runs not counted) and 2.0 GB of checkpoints"
    assert told[2].startswith("in all about 2.0 GPU hours at 100 TFLOP/s")
    assert list(sentences(runs, {}, TFLOPS)) == []
