"""The picture of what a config mixes says what its training would do."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from mixpro_bench.cli.main import main
from mixpro_bench.compat.checkpoint import save_checkpoint
from mixpro_bench.compat.runner import deterministic
from mixpro_bench.errors import UserError
from mixpro_bench.pretrain.browse import browse, samples_of_step
from mixpro_bench.registry import MODELS

pytestmark = pytest.mark.mm

CLASSES = ("ape", "bee", "cat", "dog", "eel")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    for i, picture in enumerate(pixels):
        path = root / "train" / CLASSES[i % 5] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return root


def config(data: Path, backbone: dict, policy: dict) -> Config:
    dataset = dict(
        type="mixpro_bench.ImageFolder",
        root=str(data),
        split="train",
        transform=dict(type="light", input_size=16, is_training=True, pad=2),
    )
    return Config(
        dict(
            default_scope="mixpro_bench",
            model=dict(
                type="mixpro_bench.MixClassifier",
                backbone=backbone,
                policy=policy,
                data_preprocessor=dict(type="BaseDataPreprocessor"),
            ),
            train_dataloader=dict(
                batch_size=8,
                num_workers=0,
                drop_last=True,
                sampler=dict(type="mixpro_bench.EpochSampler", shuffle=True),
                collate_fn=dict(type="default_collate"),
                dataset=dataset,
            ),
            train_cfg=dict(type="EpochBasedTrainLoop", max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
            randomness=dict(seed=3),
            bench=dict(task="pretrain", method="mixpro", preset="mixpro", backbone="b", protocol="p", version=1),
        )
    )


def test_pixels_and_labels_are_those_of_the_mask(data: Path, small_backbone: dict) -> None:
    sheet = browse(config(data, small_backbone, dict(preset="mixpro", mask_patch=8)), samples=4)
    assert "MaskMix + PAL" in sheet.title
    inside = np.kron(sheet.mask, np.ones((4, 4)))[..., None]
    np.testing.assert_allclose(sheet.mixed, inside * sheet.a + (1 - inside) * sheet.b, atol=1e-6)
    np.testing.assert_allclose(sheet.labels["area"], sheet.mask.mean((1, 2)), atol=1e-6)
    attention = (sheet.importance * sheet.mask).sum((1, 2)) / sheet.importance.sum((1, 2))
    np.testing.assert_allclose(sheet.labels["attention"], attention, atol=1e-5)
    between = np.sort(np.stack((sheet.labels["area"], sheet.labels["attention"])), axis=0)
    assert (between[0] - 1e-6 <= sheet.labels["final"]).all()
    assert (sheet.labels["final"] <= between[1] + 1e-6).all()
    assert set(sheet.names_a) <= set(CLASSES)


@pytest.mark.parametrize(
    ("preset", "image"),
    [
        ("cutmix", "CutMix"),
        ("mixup", "Mixup"),
        ("smmix-fixed", "SMMix"),
        ("tl-align", "TokenCutMix"),
        ("none", "NoMix"),
    ],
)
def test_every_kind_of_method_can_be_drawn(data: Path, small_backbone: dict, preset: str, image: str) -> None:
    sheet = browse(config(data, small_backbone, dict(preset=preset)), samples=4)
    assert image in sheet.title
    assert ("attention" in sheet.labels) == (image not in ("Mixup", "NoMix"))
    if preset not in ("tl-align",):
        np.testing.assert_array_equal(sheet.labels["final"], sheet.labels["area"])


@pytest.mark.parametrize("step", [0, 1, 3])
def test_the_samples_are_those_of_the_step(data: Path, small_backbone: dict, step: int) -> None:
    cfg = config(data, small_backbone, dict(preset="none"))
    _, batch = samples_of_step(cfg, 3, step, 4)
    loader = Runner.build_dataloader(deterministic(cfg.train_dataloader.to_dict(), 3))
    epoch, number = divmod(step, len(loader))
    loader.sampler.set_epoch(epoch)
    wanted = next(islice(iter(loader), number, None))
    assert torch.equal(batch["inputs"], wanted["inputs"][:4])
    assert torch.equal(batch["label"], wanted["label"][:4])


def test_the_picture_is_written_and_shows_the_trained_model(data: Path, small_backbone: dict, tmp_path: Path) -> None:
    cfg = config(data, small_backbone, dict(preset="mixpro", mask_patch=8))
    cfg.dump(str(tmp_path / "mine.py"))
    model = MODELS.build(cfg.model)
    torch.nn.init.normal_(model.backbone.model.blocks[-1].attn.qkv.weight, std=1.0)
    save_checkpoint(dict(meta={}, state_dict=model.state_dict()), tmp_path / "trained.pth")
    out = tmp_path / "folder" / "mixed.png"
    arguments = ["browse", str(tmp_path / "mine.py"), "--out", str(out), "--samples", "2"]
    pictures = []
    for more in ([], ["--checkpoint", str(tmp_path / "trained.pth")]):
        assert main([*arguments, *more]) == 0
        with Image.open(out) as picture:
            assert picture.width > 800
            pictures.append(np.asarray(picture))
    assert pictures[0].shape != pictures[1].shape or not np.array_equal(*pictures)
    assert [path.name for path in out.parent.iterdir()] == ["mixed.png"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--samples", "3"], "--samples 3"),
        (["--samples", "40"], "--samples 40"),
        (["--out", "mixed.bmp"], ".png, .pdf, .svg"),
        (["--checkpoint", "nowhere.pth"], "nowhere.pth"),
        (["--step", "-1"], "--step -1"),
        (["--cfg-options", "model.backbone.num_classes=0"], "num_classes"),
    ],
)
def test_what_does_not_fit_is_said(
    data: Path, small_backbone: dict, tmp_path: Path, capsys: pytest.CaptureFixture, more: list[str], words: str
) -> None:
    config(data, small_backbone, dict(preset="cutmix")).dump(str(tmp_path / "mine.py"))
    out = tmp_path / "mixed.png"
    assert main(["browse", str(tmp_path / "mine.py"), "--out", str(out), *more]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_weights_of_another_model_are_refused(data: Path, small_backbone: dict, tmp_path: Path) -> None:
    cfg = config(data, small_backbone, dict(preset="cutmix"))
    other = MODELS.build(config(data, {**small_backbone, "depth": 1}, dict(preset="cutmix")).model)
    save_checkpoint(dict(meta={}, state_dict=other.state_dict()), tmp_path / "other.pth")
    with pytest.raises(UserError, match="it lacks"):
        browse(cfg, checkpoint=str(tmp_path / "other.pth"))
