from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mixpro_bench.datasets.classification import ImageFolder, build_transform
from mixpro_bench.datasets.seeding import EpochIndex, SeededDataset
from mixpro_bench.errors import UserError
from mixpro_bench.registry import DATASETS

EVAL = {"type": "light", "input_size": 16}
TRAIN = {"input_size": 16, "is_training": True, "auto_augment": "rand-m9-mstd0.5-inc1", "re_prob": 0.5}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("cat", "ant", "bee"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(3):
                Image.fromarray(draw.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path


def pack(root: Path, split: str, target: Path, prefix: str) -> None:
    target.mkdir(exist_ok=True)
    with zipfile.ZipFile(target / f"{split}.zip", "w") as archive:
        for path in (root / split).rglob("*.png"):
            archive.write(path, prefix + path.relative_to(root / split).as_posix())
        archive.writestr("__MACOSX/._0.png", b"")


def test_sample_and_classes(root: Path) -> None:
    data = DATASETS.build(dict(type="mixpro_bench.ImageFolder", root=str(root), split="train", transform=EVAL))
    assert data.metainfo["classes"] == ("ant", "bee", "cat")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    sample = data[EpochIndex(4, 2)]
    assert (sample["label"], sample["index"]) == (1, 4)
    assert type(sample["index"]) is int
    assert sample["inputs"].shape == (3, 16, 16)
    assert sample["inputs"].dtype == torch.float32
    batch = next(iter(DataLoader(data, batch_size=9)))
    assert batch["label"].tolist() == data.labels.tolist()
    assert batch["inputs"].shape == (9, 3, 16, 16)


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_zip_is_the_same_as_folders(root: Path, tmp_path: Path, prefix: str) -> None:
    pack(root, "train", tmp_path / "packed", prefix)
    folders = ImageFolder(str(root), "train", EVAL)
    packed = ImageFolder(str(tmp_path / "packed"), "train", EVAL)
    packed[0]  # the zip is open before workers are forked
    assert packed.metainfo == folders.metainfo
    expected = torch.stack([folders[i]["inputs"] for i in range(9)])
    for workers in (0, 2):
        got = torch.cat([batch["inputs"] for batch in DataLoader(packed, batch_size=2, num_workers=workers)])
        torch.testing.assert_close(got, expected, rtol=0, atol=0)
    torch.testing.assert_close(pickle.loads(pickle.dumps(packed))[3], folders[3], rtol=0, atol=0)


def test_decoded_cache_changes_nothing(root: Path) -> None:
    plain, cached = (ImageFolder(str(root), "val", EVAL, cache=cache) for cache in (None, "decoded"))
    (root / "val/ant/0.png").unlink()
    torch.testing.assert_close(cached[1], plain[1], rtol=0, atol=0)
    assert cached[0]["inputs"].shape == (3, 16, 16)
    with pytest.raises(UserError, match=r"ant/0\.png"):
        plain[0]


def test_training_transform_is_seeded(root: Path) -> None:
    data = SeededDataset(ImageFolder(str(root), "train", TRAIN), seed=0)
    one, again, later = (data[EpochIndex(2, epoch)]["inputs"] for epoch in (0, 0, 1))
    torch.testing.assert_close(one, again, rtol=0, atol=0)
    assert (one != later).any()


def test_light_transform() -> None:
    picture = Image.fromarray(np.full((32, 32, 3), 255, np.uint8))
    white = build_transform(dict(type="light", input_size=32))(picture)
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(white.mean((1, 2)), expected)
    # A picture that is dark on its left is never turned round by training.
    half = np.zeros((32, 32, 3), np.uint8)
    half[:, 16:] = 255
    train = build_transform(dict(type="light", input_size=32, is_training=True, pad=4))
    crops = torch.stack([train(Image.fromarray(half)) for _ in range(20)])
    assert (crops[..., 24] > crops[..., 7]).all()
    assert len(crops.unique(dim=0)) > 1


def test_classes_can_be_told(root: Path) -> None:
    data = ImageFolder(str(root), "val", EVAL, classes=["cat", "bee", "ant"])
    assert data.labels.tolist() == [2, 2, 2, 1, 1, 1, 0, 0, 0]
    with pytest.raises(UserError, match="dog"):
        ImageFolder(str(root), "val", EVAL, classes=["cat", "bee", "ant", "dog"])


def test_bad_input_is_one_sentence(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere.*MIXPRO_DATA_ROOT"):
        ImageFolder(str(tmp_path / "nowhere"), "train", EVAL)
    (tmp_path / "empty/train").mkdir(parents=True)
    with pytest.raises(UserError, match="holds no pictures"):
        ImageFolder(str(tmp_path / "empty"), "train", EVAL)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/train.zip").write_bytes(b"not a zip")
    with pytest.raises(UserError, match="not a readable zip"):
        ImageFolder(str(tmp_path / "broken"), "train", EVAL)
    (root / "val/bee/1.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"bee/1\.png"):
        ImageFolder(str(root), "val", EVAL)[4]
    Image.new("RGB", (4, 4)).save(root / "train/loose.png")
    with pytest.raises(UserError, match=r"loose\.png.*no class folder"):
        ImageFolder(str(root), "train", EVAL)
    with pytest.raises(UserError, match="does not fit"):
        ImageFolder(str(root), "val", {"input_sise": 3})
    with pytest.raises(UserError, match="only None and 'decoded'"):
        ImageFolder(str(root), "val", EVAL, cache="disk")
