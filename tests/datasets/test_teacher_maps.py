"""Stored teacher maps: made of any set of pictures, resumable, checked, and cut out along with the images."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from mixpro_bench.cli.main import main
from mixpro_bench.datasets import ImageFolder
from mixpro_bench.datasets.fingerprint import fingerprint_config
from mixpro_bench.datasets.make_teacher_maps import make_teacher_maps, top_scores
from mixpro_bench.datasets.seeding import seeded
from mixpro_bench.datasets.teacher_maps import TeacherMaps
from mixpro_bench.errors import UserError
from mixpro_bench.labeling.network import Teacher

SMALL = dict(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2)
WHOLE = dict(type="light", input_size=32)
TRAIN = dict(type="light", input_size=32, is_training=True, pad=4, hflip=0.5)
CLASSES = ("cat", "dog", "emu")


def write_pictures(root: Path, seed: int = 0, per_class: int = 4, stem: str = "p") -> Path:
    g = np.random.default_rng(seed)
    for name in CLASSES:
        folder = root / "train" / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            Image.fromarray(g.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{stem}{number}.png")
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3, **SMALL)
    torch.nn.init.normal_(model.head.weight, std=2.0)
    path = tmp_path_factory.mktemp("weights") / "teacher.pth"
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def teacher(weights) -> Teacher:
    return Teacher("vit_tiny_patch16_224", str(weights), **SMALL)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def maps(data, teacher, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("maps") / "maps.safetensors"
    return make_teacher_maps(ImageFolder(str(data), "train", WHOLE), teacher, out, topk=2, batch_size=5, shard=7)


def changed(maps: Path, out: Path, **tensors) -> Path:
    """Write a copy of maps with other tensors."""
    with safe_open(maps, framework="np") as file:
        metadata = file.metadata()
    save_file({**load_file(maps), **tensors}, out, metadata)
    return out


def test_scores_are_those_of_the_teacher(maps, data, teacher):
    dataset = ImageFolder(str(data), "train", WHOLE)
    stored = load_file(maps)
    assert stored["scores"].shape == stored["classes"].shape == (12, 2, 4, 4)
    assert (stored["scores"].dtype, stored["classes"].dtype) == (np.float16, np.int16)
    for index in range(len(dataset)):
        scores = teacher.scores(dataset[index]["inputs"][None])
        torch.testing.assert_close(scores.sum(dim=1), torch.ones(1, 4, 4))
        expected = top_scores(scores, 2)
        np.testing.assert_array_equal(stored["classes"][index], expected["classes"][0])
        np.testing.assert_allclose(stored["scores"][index], expected["scores"][0], atol=1e-3)
        own = TeacherMaps(maps, dataset.archive, CLASSES).own(index, int(dataset.labels[index]))
        kept = (expected["classes"][0] == dataset.labels[index]).any(axis=0)
        np.testing.assert_allclose(own, np.where(kept, scores[0, dataset.labels[index]], 0), atol=1e-3)


def test_a_sample_brings_its_map_along(maps, data):
    plain = ImageFolder(str(data), "train", TRAIN)
    mapped = pickle.loads(pickle.dumps(ImageFolder(str(data), "train", TRAIN, teacher_maps=str(maps))))
    assert mapped.aux == ("teacher",)
    assert plain.aux == ()
    flipped = 0
    for seed in range(12):
        with seeded(seed):
            expected = plain[5]
        with seeded(seed):
            sample = mapped[5]
        assert torch.equal(sample["inputs"], expected["inputs"])
        assert expected.keys() | {"teacher_map", "teacher_crop"} == sample.keys()
        own = torch.from_numpy(mapped.teacher.own(5, sample["label"]))
        assert torch.equal(sample["teacher_map"], own) != torch.equal(sample["teacher_map"], own.flip(1))
        flipped += torch.equal(sample["teacher_map"], own.flip(1))
    assert 0 < flipped < 12


def test_an_interrupted_call_goes_on(data, teacher, maps, tmp_path, monkeypatch):
    dataset, out = ImageFolder(str(data), "train", WHOLE), tmp_path / "m.safetensors"
    settings = dict(topk=2, batch_size=5, shard=5)

    def stop(done, total):
        if done > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_teacher_maps(dataset, teacher, out, advance=stop, **settings)
    assert not out.exists()
    assert [p.name for p in (tmp_path / "m.safetensors.parts").iterdir()] == ["000000000.safetensors"]

    read = []
    whole = dataset.archive.open
    monkeypatch.setattr(dataset.archive, "open", lambda name: read.append(name) or whole(name))
    with pytest.raises(UserError, match="parts of other maps"):
        make_teacher_maps(dataset, teacher, out, **{**settings, "topk": 1})
    make_teacher_maps(dataset, teacher, out, **settings)
    assert not set(read) & set(dataset.archive.names[:5])
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]
    for name, array in load_file(maps).items():
        np.testing.assert_allclose(load_file(out)[name], array, atol=1e-3)
    with pytest.raises(UserError, match="exists and is not overwritten"):
        make_teacher_maps(dataset, teacher, out, **settings)


def test_a_missing_picture_is_named(data, maps, tmp_path):
    more = write_pictures(tmp_path / "more")
    extra = more / "train" / "dog" / "unknown.png"
    extra.write_bytes((more / "train" / "dog" / "p0.png").read_bytes())
    with pytest.raises(UserError, match=r"lack the picture 'dog/unknown\.png':"):
        ImageFolder(str(more), "train", WHOLE, teacher_maps=str(maps))
    # Fewer pictures than there are maps: each finds its own.
    extra.unlink()
    (more / "train" / "cat" / "p0.png").unlink()
    fewer = ImageFolder(str(more), "train", TRAIN, teacher_maps=str(maps))
    whole = ImageFolder(str(data), "train", TRAIN, teacher_maps=str(maps))
    for index in range(len(fewer)):
        np.testing.assert_array_equal(fewer.teacher.own(index, 1), whole.teacher.own(index + 1, 1))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (dict(stem="q"), "another data set"),
        (dict(seed=1), "another picture 'cat/p0.png'"),
    ],
)
def test_another_data_set_is_refused(maps, tmp_path, make, word):
    with pytest.raises(UserError, match=word):
        ImageFolder(str(write_pictures(tmp_path, **make)), "train", WHOLE, teacher_maps=str(maps))


def test_other_classes_are_refused(data, maps):
    with pytest.raises(UserError, match="made for 3 classes"):
        ImageFolder(str(data), "train", WHOLE, classes=["emu", "dog", "cat"], teacher_maps=str(maps))


def test_a_class_index_outside_the_classes_is_named(data, maps, tmp_path):
    classes = load_file(maps)["classes"].copy()
    classes[0, 0, 0, 0] = 3
    wrong = changed(maps, tmp_path / "wrong.safetensors", classes=classes)
    with pytest.raises(UserError, match=r"'cat/p0\.png' the class index 3, but the data have 3 classes"):
        ImageFolder(str(data), "train", WHOLE, teacher_maps=str(wrong))
    classes[0, 0, 0, 0] = -1
    wrong = changed(maps, tmp_path / "negative.safetensors", classes=classes)
    with pytest.raises(UserError, match="class index -1"):
        ImageFolder(str(data), "train", WHOLE, teacher_maps=str(wrong))


def test_scores_that_are_none_are_refused(data, maps, tmp_path):
    stored = load_file(maps)
    scores = stored["scores"].copy()
    scores[0] = np.nan
    wrong = changed(maps, tmp_path / "nan.safetensors", scores=scores)
    with pytest.raises(UserError, match=r"infinite score for 'cat/p0\.png'"):
        ImageFolder(str(data), "train", WHOLE, teacher_maps=str(wrong)).teacher.own(0, int(stored["classes"][0].max()))


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, "do not exist"), (b"", "cannot be read"), (b"text", "cannot be read"), ("other", "no teacher maps")],
)
def test_a_file_of_another_kind_is_refused(data, tmp_path, content, word):
    path = tmp_path / "x.safetensors"
    if content == "other":
        save_file({"scores": np.zeros(2)}, path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=word):
        ImageFolder(str(data), "train", WHOLE, teacher_maps=str(path))


def test_truncated_maps_are_refused(data, maps, tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(maps.read_bytes()[:-9])
    with pytest.raises(UserError, match="cannot be read"):
        ImageFolder(str(data), "train", WHOLE, teacher_maps=str(path))


def test_a_transform_that_cannot_be_followed_is_refused_with_the_data(data, maps):
    transform = dict(input_size=32, is_training=True, auto_augment="augmix-m5")
    with pytest.raises(UserError, match="AugMixAugment"):
        ImageFolder(str(data), "train", transform, teacher_maps=str(maps))


def test_a_teacher_of_other_classes_needs_their_indices(data, weights, teacher, tmp_path):
    two = write_pictures(tmp_path / "two")
    for file in (two / "train" / "cat").iterdir():
        file.unlink()
    (two / "train" / "cat").rmdir()
    dataset = ImageFolder(str(two), "train", WHOLE)
    with pytest.raises(UserError, match="3 classes, but the data have 2"):
        make_teacher_maps(dataset, teacher, tmp_path / "a.safetensors")
    chosen = Teacher("vit_tiny_patch16_224", str(weights), classes=[2, 0], **SMALL)
    stored = load_file(make_teacher_maps(dataset, chosen, tmp_path / "a.safetensors"))
    assert stored["scores"].shape[1] == 2
    np.testing.assert_allclose(stored["scores"].astype(np.float32).sum(axis=1), 1, atol=2e-3)


def test_data_and_maps_are_one_in_the_fingerprint(data, maps, tmp_path):
    def told(path):
        dataset = dict(root=str(data), split="train", **({"teacher_maps": str(path)} if path else {}))
        return fingerprint_config({"train_dataloader": {"dataset": dataset}})

    other = tmp_path / "o.safetensors"
    head = maps.read_bytes()
    size = struct.unpack("<Q", head[:8])[0]
    header = json.loads(head[8 : 8 + size])
    header["__metadata__"]["content"] = "0" * 64
    text = json.dumps(header, separators=(",", ":")).encode().ljust(size)
    other.write_bytes(head[:8] + text + head[8 + size :])
    assert len({told(None), told(maps), told(other)}) == 3
    assert told(maps) == told(maps)


@pytest.mark.mm
def test_the_command_makes_maps_of_the_training_pictures(data, weights, teacher, tmp_path, capsys):
    config = tmp_path / "config.py"
    dataset = dict(type="mixpro_bench.ImageFolder", root=str(data), split="train", transform=TRAIN)
    base = Path(__file__).parents[2] / "configs" / "pretrain" / "digits" / "vit_digits_none.py"
    config.write_text(f"_base_ = {str(base)!r}\ntrain_dataloader = dict(dataset=dict(_delete_=True, **{dataset!r}))\n")
    out = tmp_path / "m.safetensors"
    words = ["teacher-maps", str(config), "--model", "vit_tiny_patch16_224", "--checkpoint", str(weights)]
    words += ["--topk", "2", "--workers", "0", "--device", "cpu", "--out"]
    sizes = ["--model-args", *(f"{key}={value}" for key, value in SMALL.items())]
    assert main([*words, str(out), *sizes]) == 0
    assert "teacher_maps=" in capsys.readouterr().out
    # timm's config of this model normalises with 0.5, not with ImageNet's numbers.
    whole = ImageFolder(str(data), "train", {**WHOLE, "mean": (0.5,) * 3, "std": (0.5,) * 3})
    expected = make_teacher_maps(whole, teacher, tmp_path / "expected.safetensors", topk=2)
    for name, array in load_file(expected).items():
        np.testing.assert_allclose(load_file(out)[name], array, atol=1e-3)

    indices = tmp_path / "indices.txt"
    indices.write_text("0\n1\n3\n")
    assert main([*words, str(tmp_path / "n.safetensors"), *sizes, "--class-indices", str(indices)]) == 2
    assert "class index 3" in capsys.readouterr().err
    indices.write_text("0\none\n")
    assert main([*words, str(tmp_path / "n.safetensors"), *sizes, "--class-indices", str(indices)]) == 2
    assert "line 2" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "n.safetensors")]) == 2
    assert "does not fit the teacher" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "n.pth"), *sizes]) == 2
    assert "safetensors" in capsys.readouterr().err


@pytest.mark.mm
@pytest.mark.parametrize("transform", [TRAIN, dict(input_size=32, is_training=True, auto_augment="rand-m9-inc1")])
@pytest.mark.parametrize("preset", ["tokenmix", "tokenmix-fixed"])
def test_a_classifier_trains_on_batches_with_maps(data, maps, preset, transform):
    from torch.utils.data import DataLoader, default_collate

    from mixpro_bench.mixing.policy import Place
    from mixpro_bench.registry import MODELS

    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type="mixpro_bench.MixClassifier",
            backbone=dict(type="mixpro_bench.TimmBackbone", name="vit_tiny_patch16_224", num_classes=3, **SMALL),
            policy=dict(preset=preset),
            data_preprocessor=dict(type="BaseDataPreprocessor"),
        )
    ).train()
    dataset = ImageFolder(str(data), "train", transform, teacher_maps=str(maps))
    batch = next(iter(DataLoader(dataset, batch_size=12, num_workers=1, collate_fn=default_collate)))
    assert ("teacher_warp" in batch) == ("auto_augment" in transform)
    batch = model.data_preprocessor(batch, training=True)
    seen = set()
    for step in range(8):
        model.place = Place(0, step)
        losses = model(**batch, mode="loss")
        losses["loss_cls"].backward()
        assert torch.isfinite(losses["loss_cls"])
        seen.add("mix/score" in losses)
        if "mix/score" in losses:
            assert float(losses["mix/area_stood_in"]) < 12
    assert seen == {True, False}
