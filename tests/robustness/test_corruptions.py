"""The part `corruptions`: made on the fly, from the cache, from a folder; the mCE; what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mixpro_bench.errors import UserError
from mixpro_bench.rng import seed32
from mixpro_bench.robustness.corrupt import corrupt
from mixpro_bench.robustness.corrupted import Store
from mixpro_bench.robustness.corruptions import Corruptions, corruption_error, mean_errors
from mixpro_bench.robustness.load import load_subject
from mixpro_bench.robustness.part import make_part
from mixpro_bench.robustness.pictures import evenly
from mixpro_bench.robustness.run import question_of, run_parts
from mixpro_bench.robustness.subject import Subject

pytest.importorskip("imagecorruptions")

FEW = dict(names=["contrast", "gaussian_noise"], severities=[1, 5])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "corruptions"


@pytest.fixture
def subject(toy, cache: Path) -> Subject:
    """The trained toy on its pictures."""
    return load_subject(toy.config, toy.checkpoint, device="cpu")


def quiet(done: int, total: int) -> None:
    """Hear of progress and do nothing."""


def test_mean_corruption_error_is_that_of_the_paper() -> None:
    ours = {"fog": {1: 10.0, 2: 30.0}, "snow": {1: 40.0, 2: 60.0}}
    theirs = {"fog": {1: 40.0, 2: 40.0}, "snow": {1: 50.0, 2: 50.0}}
    assert mean_errors(ours) == {"fog": 20.0, "snow": 50.0}
    assert corruption_error(ours, theirs) == pytest.approx(100 * (40 / 80 + 100 / 100) / 2)
    relative = corruption_error(ours, theirs, 5.0, 20.0)
    assert relative == pytest.approx(100 * ((5 + 25) / (20 + 20) + (35 + 55) / (30 + 30)) / 2)
    assert corruption_error(theirs, theirs, 20.0, 20.0) == pytest.approx(100)


def test_severity_0_is_clean_to_the_bit(subject: Subject) -> None:
    with Store(subject, subject.indices, 64, 1, 8.0) as store:
        kept = store.get("fog", 0, quiet).scores()
    assert torch.equal(kept, subject.scores())


def test_pictures_are_those_of_the_seed_and_index_whatever_makes_them(subject: Subject, cache: Path) -> None:
    subject.seed = 3
    chosen = subject.indices[evenly(60, 40)]
    found = []
    for workers, most in ((1, 8.0), (2, 0.0)):
        subject.workers = workers
        with Store(subject, chosen, 64, 1, most) as store:
            assert (store.note is None) == (most > 0)
            found.append(np.array(store.get("snow", 2, quiet).dataset.pictures))
    assert np.array_equal(*found)
    index = int(chosen[7])
    alone = np.asarray(subject.dataset.image(index))
    assert np.array_equal(found[0][7], corrupt(alone, "snow", 2, seed32(3, "corruption snow", 2, index)))


def test_the_cache_is_used_and_is_of_one_question(subject: Subject, cache: Path) -> None:
    def get(seed: int = 0, least: int = 64, most: float = 8.0) -> np.ndarray:
        subject.seed = seed
        with Store(subject, subject.indices[:4], least, 1, most) as store:
            return np.array(store.get("shot_noise", 1, quiet).dataset.pictures)

    first = get()
    (file,) = cache.glob("*.npy")
    np.save(file, np.zeros_like(first))
    assert not get().any(), "the second time nothing is made"
    file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(get(), first), "a file that is not whole is made anew"
    assert np.array_equal(get(most=0.0), first), "what may not be kept is not read either"
    assert not np.array_equal(get(seed=1), first)
    assert not np.array_equal(get(least=32), first)
    assert len(list(cache.iterdir())) == 3, "one file for each question, no unfinished ones"


def test_a_run_and_its_mce(subject: Subject, tmp_path: Path) -> None:
    part = make_part("corruptions", {**FEW, "pictures": 40})
    (outcome,) = run_parts(subject, [part], tmp_path / "reference")
    metrics = outcome.record.metrics
    assert metrics["corruptions/mean"] == pytest.approx(
        np.mean([metrics[f"corruptions/{n}/{s}"] for n in FEW["names"] for s in FEW["severities"]])
    )
    assert metrics["corruptions/clean"] < metrics["corruptions/contrast/5"]
    assert list(outcome.record.curves["severity"].x) == [0, 1, 5]
    assert any("40 of 60 pictures" in note for note in outcome.record.notes)
    assert not any(name.endswith("mce") for name in metrics)
    again = make_part("corruptions", {**FEW, "pictures": 40, "reference": str(tmp_path / "reference" / "corruptions")})
    (outcome,) = run_parts(subject, [again], tmp_path / "relative")
    assert outcome.record.metrics["corruptions/mce"] == pytest.approx(100)
    assert outcome.record.metrics["corruptions/relative_mce"] == pytest.approx(100)
    other = make_part("corruptions", {**FEW, "pictures": 20, "reference": str(tmp_path / "reference" / "corruptions")})
    with pytest.raises(UserError, match="measured with another options"):
        other.check(subject)


def test_a_prepared_folder_gives_the_same_errors(subject: Subject, tmp_path: Path) -> None:
    folder = tmp_path / "ImageNet-C"
    for name, group in (("contrast", "digital"), ("gaussian_noise", ".")):
        with Store(subject, subject.indices, 64, 1, 8.0) as store:
            for severity in (1, 5):
                pictures = store.get(name, severity, quiet).dataset.pictures
                for index, pixels in enumerate(pictures):
                    place = folder / group / name / str(severity) / subject.classes[int(subject.labels[index])]
                    place.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(place / f"{index}.png")
    made = make_part("corruptions", {**FEW, "pictures": 0}).run(subject, quiet)
    read = make_part("corruptions", {**FEW, "pictures": 0, "folder": str(folder)}).run(subject, quiet)
    assert read.metrics == made.metrics
    shutil.move(folder / "contrast" if (folder / "contrast").is_dir() else folder / "digital", tmp_path / "gone")
    with pytest.raises(UserError, match=r"contrast/1 does not exist"):
        make_part("corruptions", {**FEW, "folder": str(folder)}).check(subject)
    (tmp_path / "other/contrast/1").mkdir(parents=True)
    shutil.copytree(folder / "gaussian_noise/1/circle", tmp_path / "other/contrast/1/n01440764")
    with pytest.raises(UserError, match="none of the class folders"):
        make_part("corruptions", {**FEW, "folder": str(tmp_path / "other")}).check(subject)


def test_options_that_change_no_number_do_not_count(subject: Subject) -> None:
    one, other = (make_part("corruptions", {**FEW, "cache": size}) for size in (0, 8))
    assert question_of(subject, one) == question_of(subject, other)
    assert question_of(subject, one)["options"]["library"].startswith("imagecorruptions-imaug ")


@pytest.mark.parametrize(("wrong", "said"), [({"least": 16}, "32 at least"), ({"pictures": -1}, "pictures=-1")])
def test_options_out_of_range(wrong: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Corruptions(**wrong)


def test_without_the_library_the_error_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['imagecorruptions'] = None\n"
        "from mixpro_bench.errors import UserError\n"
        "from mixpro_bench.robustness.corrupt import library\n"
        "try: library()\nexcept UserError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "mixpro-bench[robustness]" in said
