"""Other test sets: their layouts, classes that they share with the model, and telling unknown pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_curve

from mixpro_bench.errors import UserError
from mixpro_bench.robustness.external import by_number, by_objectnet, by_synset, right_among, synsets, without_frame
from mixpro_bench.robustness.load import load_subject
from mixpro_bench.robustness.part import make_part
from mixpro_bench.robustness.run import run_parts
from mixpro_bench.robustness.subject import Subject
from mixpro_bench.robustness.unknown import detection, sureness


@pytest.fixture
def subject(toy) -> Subject:
    """The trained toy on its pictures."""
    return load_subject(toy.config, toy.checkpoint, device="cpu")


def test_folders_by_synset_and_by_number() -> None:
    known = synsets()
    assert len(known) == 1000
    assert known[0] == "n01440764"
    assert list(known) == sorted(known)
    classes = (known[3], known[999], "n99999999")
    assert by_synset([known[0], known[3], "n99999999"], classes) == {known[3]: [0], "n99999999": [2]}
    assert by_number(["3", "999", "4", "1000", "-1", "readme"], classes) == {"3": [0], "999": [1]}


def mappings(folder: Path) -> Path:
    """Write ObjectNet's four files for three of its classes."""
    folder.mkdir(parents=True)
    titles = {"air_freshener": "Air freshener", "alarm_clock": "Alarm clock", "banana": "Banana"}
    described = {"Alarm clock": "analog clock; digital clock", "Banana": "banana"}
    (folder / "folder_to_objectnet_label.json").write_text(json.dumps(titles))
    (folder / "objectnet_to_imagenet_1k.json").write_text(json.dumps(described))
    # The lines of the label file have an order of their own; numbers map the usual order to it.
    (folder / "imagenet_to_label_2012_v2").write_text("digital clock\nbanana\nanalog clock\n")
    (folder / "pytorch_to_imagenet_2012_id.json").write_text(json.dumps({"954": 1, "530": 0, "409": 2}))
    return folder


def test_objectnet_maps_one_class_to_several(tmp_path: Path) -> None:
    known, place = synsets(), mappings(tmp_path / "mappings")
    folders = ["air_freshener", "alarm_clock", "banana"]
    found = by_objectnet(place, folders, known)
    assert {folder: sorted(right) for folder, right in found.items()} == {"alarm_clock": [409, 530], "banana": [954]}
    assert by_objectnet(place, folders, (known[530],)) == {"alarm_clock": [0]}
    (place / "objectnet_to_imagenet_1k.json").write_text("[")
    with pytest.raises(UserError, match="ObjectNet's classes are told by the four files"):
        by_objectnet(place, folders, known)


def test_predictions_are_taken_among_classes_that_occur() -> None:
    logits = torch.tensor([[9.0, 1.0, 2.0, 0.0], [9.0, 3.0, 2.0, 5.0], [0.0, 1.0, 0.0, 4.0]])
    assert right_among(logits, [[2], [1, 3], [1]]).tolist() == [True, True, False]
    assert right_among(logits[:1], [[2]]).tolist() == [True], "a single class is always right"


def test_the_frame_is_cut_off() -> None:
    framed = Image.new("RGB", (10, 8), "red")
    framed.paste("blue", (2, 2, 8, 6))
    assert without_frame(framed).getcolors() == [(24, (0, 0, 255))]


def test_detection_agrees_with_counting_pairs() -> None:
    generator = np.random.default_rng(0)
    known, unknown = generator.normal(1, 1, 300).round(1), generator.normal(0, 1, 200).round(1)
    found = detection(known, unknown)
    pairs = (known[:, None] > unknown).mean() + 0.5 * (known[:, None] == unknown).mean()
    assert found["auroc"] == pytest.approx(100 * pairs, abs=1e-6)
    false, true, _ = roc_curve(np.r_[np.ones(300), np.zeros(200)], np.r_[known, unknown], drop_intermediate=False)
    assert found["fpr95"] == pytest.approx(100 * false[np.argmax(true >= 0.95)], abs=1e-6)
    # Average precision by its definition: over thresholds, precision times what is gained in recall.
    area, before = 0.0, 0.0
    for threshold in np.unique(np.r_[known, unknown]):
        caught, alarms = (unknown <= threshold).sum(), (known <= threshold).sum()
        area += caught / (caught + alarms) * (caught / 200 - before)
        before = caught / 200
    assert found["aupr"] == pytest.approx(100 * area, abs=1e-6)
    perfect = detection(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    assert perfect == {"auroc": 100.0, "aupr": 100.0, "fpr95": 0.0}


def test_sureness_is_that_of_softmax_and_energy() -> None:
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, 0.0]])
    probability = torch.softmax(torch.from_numpy(logits), dim=1).max(dim=1).values.numpy()
    assert np.exp(sureness(logits, "softmax")) == pytest.approx(probability)
    assert sureness(logits, "energy") == pytest.approx(torch.logsumexp(torch.from_numpy(logits), 1).numpy())


def test_the_models_own_pictures_give_its_own_accuracy(subject: Subject, toy, tmp_path: Path) -> None:
    part = make_part("external", {"imagenet_r": str(toy.root / "val")})
    (outcome,) = run_parts(subject, [part], tmp_path / "out")
    expected = 100 * float((subject.scores().argmax(1) == subject.labels).double().mean())
    assert outcome.record.metrics == {"external/imagenet_r/top1": pytest.approx(expected)}


def test_a_subset_of_classes_beside_unknown_ones(subject: Subject, toy, tmp_path: Path) -> None:
    for name in ("circle", "other"):
        place = tmp_path / "set" / name
        place.mkdir(parents=True)
        for number in range(3):
            Image.new("L", (20 + number, 50)).save(place / f"{number}.png")
    finding = make_part("external", {"imagenet_a": str(tmp_path / "set")}).run(subject, lambda done, total: None)
    assert finding.metrics == {"external/imagenet_a/top1": 100.0}, "no other class occurs"
    assert "1 folders are no class of the model: other" in " ".join(finding.notes)


def test_unknown_pictures(subject: Subject, tmp_path: Path) -> None:
    (tmp_path / "noise").mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "noise" / f"{number}.png")
    finding = make_part("external", {"ood": str(tmp_path / "noise")}).run(subject, lambda done, total: None)
    assert set(finding.metrics) == {
        f"external/ood/{score}/{key}" for score in ("softmax", "energy") for key in ("auroc", "aupr", "fpr95")
    }
    assert all(0 <= value <= 100 for value in finding.metrics.values())
    assert finding.notes == ("ood: 12 unknown pictures against the 60 validation pictures",)


def test_another_folder_of_the_same_name_is_another_question(tmp_path: Path) -> None:
    told = []
    for place, names in (("one", ["a.png"]), ("two", ["a.png"]), ("three", ["b.png"])):
        (tmp_path / place / "images").mkdir(parents=True)
        for name in names:
            Image.new("RGB", (9, 9)).save(tmp_path / place / "images" / name)
        told.append(make_part("external", {"ood": str(tmp_path / place / "images")}).options()["ood"])
    assert told[0] == told[1]
    assert told[1] != told[2]


def test_classes_that_do_not_map_are_named(subject: Subject, tmp_path: Path) -> None:
    for name in ("n01440764", "n01443537"):
        (tmp_path / "A" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "A" / name / "a.png")
    with pytest.raises(UserError, match=r"\(n01440764, n01443537\) is a class of the model.*circle, square, stripes"):
        make_part("external", {"imagenet_a": str(tmp_path / "A")}).check(subject)
    with pytest.raises(UserError, match="does not exist"):
        make_part("external", {"ood": str(tmp_path / "nowhere")}).check(subject)


def test_without_folders_there_is_a_note_and_no_record(subject: Subject, tmp_path: Path) -> None:
    (outcome,) = run_parts(subject, [make_part("external")], tmp_path)
    assert not outcome.path.exists()
    assert "name folders" in outcome.record.notes[0]
