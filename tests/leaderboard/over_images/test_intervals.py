"""Intervals of rows over images: from files to what the command shows."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from mixpro_bench.cli.main import main
from mixpro_bench.leaderboard import write_record
from mixpro_bench.leaderboard.index import load_index
from mixpro_bench.leaderboard.over_images import add_intervals
from mixpro_bench.leaderboard.over_images.detection import DetectionMatches
from mixpro_bench.leaderboard.over_images.intervals import resamples
from mixpro_bench.leaderboard.over_images.segmentation import SegmentationCounts
from mixpro_bench.leaderboard.table import build_tables

SEG_CONFIG = """
model = dict(decode_head=dict(num_classes=4))
val_dataloader = dict(dataset=dict(
    type='mmseg.BaseSegDataset', data_root={root!r}, data_prefix=dict(img_path='img', seg_map_path='truth/val'),
    reduce_zero_label=True))
val_evaluator = dict(type='mmseg.IoUMetric')
"""
DET_CONFIG = """
val_dataloader = dict(dataset=dict(type='mmdet.CocoDataset', metainfo=dict(classes=('cat', 'dog'))))
val_evaluator = dict(type='mmdet.CocoMetric', ann_file={file!r})
"""


@pytest.fixture
def runs(made, make, tmp_path):
    """Two methods of two seeds on the same images: the better one finds what the other finds, and more."""
    truth, _ = made.detection(images=8, seed=5)
    for method, share in (("none", 0.5), ("mixpro", 0.9)):
        for seed in (0, 1):
            folder = tmp_path / "runs" / method / str(seed)
            generator = np.random.default_rng(seed)
            results = [
                {"image_id": one["image_id"], "category_id": one["category_id"], "bbox": one["bbox"],
                 "segmentation": one["segmentation"], "score": float(generator.random())}
                for one in truth["annotations"]
                if generator.random() < share
            ]  # fmt: skip
            path = made.write_detection(folder / "det", truth, results)
            (folder / "det/config.py").write_text(DET_CONFIG.format(file=str(path)))
            files = {kind: folder / f"det/predictions.{kind}.json" for kind in ("bbox", "segm")}
            found = DetectionMatches(path, files).metrics(np.ones(8))
            # As mmdet: -1 where there is no object of that size.
            metrics = {key: -1.0 if np.isnan(value) else round(value, 3) for key, value in found.items()}
            write_record(make("det", method, seed, metrics=metrics), folder / "det/record.json")

            pairs = made.masks(images=6, seed=seed)
            masks = made.write_masks(
                folder / "seg", {k: (pairs[k][0] * 0 + 1 + seed, pairs[k][1]) for k in pairs}, "kept"
            )
            (folder / "seg/some_name.py").write_text(SEG_CONFIG.format(root=str(folder / "seg")))
            found = SegmentationCounts(folder / "seg/kept", masks, 4, True).metrics(np.ones(6))
            metrics = {key: round(value, 2) for key, value in found.items()}
            write_record(make("seg", method, seed, metrics=metrics, predictions="kept"), folder / "seg/record.json")
    return tmp_path / "runs"


def silent(records):
    for record in records:
        yield record, lambda count: None


def table_of(folder, draws=200, **more):
    index = load_index(folder)
    tables = build_tables([record for _, record in index.records], baseline="none")
    folders = {id(record): path.parent for path, record in index.records}
    (table,), problems = add_intervals(tables, folders, draws, silent, **more)
    return table, problems


def row_of(table, method):
    return next(row for row in table.rows if row.method == method)


def test_seeds_are_averaged_draw_by_draw_and_paired_with_the_baseline(runs):
    table, problems = table_of(runs)
    assert problems == []
    drawn = {}
    for method in ("none", "mixpro"):
        own = [
            DetectionMatches(folder / "det/truth.json", {"bbox": folder / "det/predictions.bbox.json"})
            for folder in sorted((runs / method).iterdir())
        ]
        drawn[method] = np.array([
            100 * np.mean([one.metrics(weights)["coco/bbox_mAP"] for one in own]) for weights in resamples(8, 200, 0)
        ])  # fmt: skip
    whole = {}
    for method, values in drawn.items():
        interval = row_of(table, method).images["box_ap"]
        whole[method] = interval.low + np.quantile(values, 0.975)  # twice the number of all images
        assert interval.high == pytest.approx(whole[method] - np.quantile(values, 0.025), rel=1e-12)
        assert whole[method] / 2 == pytest.approx(row_of(table, method).cells["box_ap"].mean, abs=0.051)
        assert interval.images == 8
        assert interval.low < row_of(table, method).cells["box_ap"].mean < interval.high
    gain = row_of(table, "mixpro").images["box_ap_gain"]
    far = whole["mixpro"] - whole["none"] - np.quantile(drawn["mixpro"] - drawn["none"], [0.975, 0.025])
    assert [gain.low, gain.high] == pytest.approx(far)
    assert "box_ap_gain" not in row_of(table, "none").images


def test_draws_are_with_replacement_and_the_same_for_a_seed():
    one, other, third = (np.array(list(resamples(9, 300, seed))) for seed in (0, 0, 1))
    assert (one == other).all()
    assert (one != third).any()
    assert (one.sum(axis=1) == 9).all()
    assert one.max() > 2
    assert one.mean(axis=0) == pytest.approx(1, abs=0.25)


def test_a_row_needs_the_predictions_of_all_its_runs(runs):
    for path in (runs / "mixpro/1/det").glob("predictions.*"):
        path.unlink()
    table, problems = table_of(runs, 40)
    assert problems == []
    assert "box_ap" not in row_of(table, "mixpro").images
    assert "miou" in row_of(table, "mixpro").images
    assert "box_ap" in row_of(table, "none").images


def test_predictions_of_another_checkpoint_are_not_taken(runs):
    path = runs / "mixpro/0/det/record.json"
    data = json.loads(path.read_text())
    data["metrics"]["coco/bbox_mAP"] += 0.002
    path.write_text(json.dumps(data))
    table, (sentence,) = table_of(runs, 40)
    assert "they are not of the checkpoint it was made of" in sentence
    assert str(runs / "mixpro/0/det/predictions") in sentence
    assert "box_ap" not in row_of(table, "mixpro").images


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda run: (run / "some_name.py").unlink(), "holds no config.py"),
        (lambda run: (run / "some_name.py").write_text("a = 1"), "has no val_dataloader.dataset.data_prefix"),
        (lambda run: (run / "some_name.py").write_text("a = ("), "cannot be read as a config"),
        (lambda run: (run / "kept").rename(run / "gone"), "the Record names predictions at"),
    ],
)
def test_what_is_missing_is_named_and_the_rest_goes_on(runs, change, sentence):
    change(runs / "mixpro/0/seg")
    table, (problem,) = table_of(runs, 40)
    assert sentence in problem
    assert "miou" not in row_of(table, "mixpro").images
    assert "miou" in row_of(table, "none").images


def test_command(runs, tmp_path, capsys):
    files = {end: tmp_path / f"out/t.{end}" for end in ("md", "csv", "json")}
    command = ["leaderboard", str(runs), "--baseline", "none", "--bootstrap", "60", "--html", str(tmp_path / "page")]
    command += ["--markdown", str(files["md"]), "--csv", str(files["csv"]), "--json", str(files["json"])]
    assert main(command) == 0
    first = {end: path.read_bytes() for end, path in files.items()}
    assert "no interval" not in capsys.readouterr().err
    assert main(command) == 0
    assert {end: path.read_bytes() for end, path in files.items()} == first
    text = first["md"].decode()
    assert "box AP over images" in text
    assert "- over images: 95 % interval from 60 draws of the validation images" in text
    line = next(line for line in csv.DictReader(text_of(first["csv"])) if line["method"] == "mixpro")
    assert float(line["box_ap_images_low"]) < float(line["box_ap"]) < float(line["box_ap_images_high"])
    assert float(line["box_ap_gain_images_low"]) <= float(line["box_ap_gain_images_high"])
    row = next(row for row in json.loads(first["json"])["tables"][0]["rows"] if row["method"] == "mixpro")
    assert row["images"]["miou"]["images"] == 6
    assert row["images"]["box_ap"]["low"] == float(line["box_ap_images_low"])


def text_of(content):
    return content.decode().splitlines()


def test_command_without_predictions_says_how_to_get_them(make, tmp_path, capsys):
    write_record(make("det"), tmp_path / "record.json")
    assert main(["leaderboard", str(tmp_path), "--bootstrap", "1000"]) == 0
    assert "mixpro-bench evaluate RUN --dump RUN/predictions" in capsys.readouterr().err
    assert main(["leaderboard", str(tmp_path), "--bootstrap", "5"]) == 2
    assert "--bootstrap 5: give at least 40 draws" in capsys.readouterr().err
