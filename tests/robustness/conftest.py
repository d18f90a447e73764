"""A small classifier that has learned something, as a checkpoint with its card, and the pictures it is measured on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

CLASSES = ("circle", "square", "stripes")
SIZE = 32
BACKBONE = dict(
    type="mixpro_bench.TimmBackbone",
    name="vit_tiny_patch16_224",
    img_size=SIZE,
    patch_size=8,
    embed_dim=48,
    depth=2,
    num_heads=3,
    num_classes=len(CLASSES),
)
CONFIG = """
bench = dict(task="pretrain", method="none", preset="none", backbone="toy", protocol="toy", version=1)
default_scope = "mixpro_bench"
model = dict(type="mixpro_bench.MixClassifier", backbone={backbone!r}, policy=dict(preset="none"))
data = dict(type="mixpro_bench.ImageFolder", root={root!r}, transform=dict(type="light", input_size={size}))
train_dataloader = dict(batch_size=8, num_workers=0, dataset=dict(split="train", **data))
val_dataloader = dict(batch_size=8, num_workers=0, dataset=dict(split="val", **data))
"""


class Toy(NamedTuple):
    """Where the toy's files lie."""

    config: Path
    checkpoint: Path
    root: Path


def picture(label: int, generator: np.random.Generator) -> Image.Image:
    """Draw one picture of a class, with noise, in a colour that says nothing."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    cy, cx = generator.integers(12, 20, 2)
    shape = [
        (rows - cy) ** 2 + (columns - cx) ** 2 < 64,
        (abs(rows - cy) < 8) & (abs(columns - cx) < 8),
        (rows + cy) % 8 < 4,
    ][label]
    values = 90 + 90 * shape[..., None] * generator.uniform(0.5, 1, 3) + generator.normal(0, 25, (SIZE, SIZE, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Write pictures and a config, train for a few seconds, save a checkpoint with its card."""
    from mixpro_bench.datasets.classification import ImageFolder
    from mixpro_bench.registry import MODELS
    from mixpro_bench.transfer.card import card_of, write_card

    folder = tmp_path_factory.mktemp("toy")
    generator = np.random.default_rng(0)
    for split, count in (("train", 40), ("val", 20)):
        for label, name in enumerate(CLASSES):
            place = folder / "data" / split / name
            place.mkdir(parents=True)
            for number in range(count):
                picture(label, generator).save(place / f"{number:03d}.png")
    config = folder / "toy.py"
    config.write_text(CONFIG.format(backbone=BACKBONE, root=str(folder / "data"), size=SIZE))
    torch.manual_seed(0)
    backbone = MODELS.build(dict(BACKBONE)).train()
    data = ImageFolder(str(folder / "data"), "train", dict(type="light", input_size=SIZE))
    images = torch.stack([data[i]["inputs"] for i in range(len(data))])
    labels = torch.as_tensor(data.labels)
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=2e-3)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(backbone(images).logits, labels).backward()
        optimizer.step()
    told = dict(method="none", preset="none", backbone="toy", seed=0, protocol="toy", version=1)
    state = {f"backbone.{name}": value for name, value in backbone.state_dict().items()}
    checkpoint = folder / "toy.pth"
    config_text = config.read_text()
    torch.save({"state_dict": state, "meta": {"mixpro_bench": told, "cfg": config_text}}, checkpoint)
    write_card(card_of(checkpoint), folder)
    return Toy(config, checkpoint, folder / "data")


@pytest.fixture
def subject(toy: Toy):
    """Return the toy, ready to be measured."""
    from mixpro_bench.robustness.load import load_subject

    return load_subject(toy.config, toy.checkpoint, device="cpu")
