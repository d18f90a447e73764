"""Model cards."""

from __future__ import annotations

import hashlib

import pytest
import torch

from mixpro_bench.compat.checkpoint import save_checkpoint
from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.record import Record, write_record
from mixpro_bench.transfer.card import card_of, card_path, facts_of, read_card, read_config_text, write_card

CONFIG = """
bench = dict(task='pretrain', method='mixpro')
backbone = dict(type='mixpro_bench.TimmBackbone', name='deit_tiny_patch16_224', num_classes=10)
model = dict(
    backbone=dict(type='mixpro_bench.TimmBackbone', name='deit_tiny_patch16_224', init_cfg=None, num_classes=10))
val_dataloader = dict(dataset=dict(transform=dict(type='timm', input_size=(3, 224, 224), mean=(0.5, 0.5, 0.5))))
"""


@pytest.fixture
def finished(tmp_path, pretrained, upstream):
    """Leave what a finished pretraining leaves."""
    told = {**upstream, "protocol": "digits-cls", "version": 2}
    path = save_checkpoint(dict(meta=dict(mixpro_bench=told, cfg=CONFIG), state_dict=pretrained), tmp_path / "e.pth")
    record = Record(
        stage="pretrain",
        method=dict(name="mixpro", preset="mixpro"),
        backbone="tiny",
        protocol=dict(name="digits-cls", version=2),
        seed=3,
        metrics={"top1": 71.5},
        cost=dict(wall_s=1, train_s=1),
        provenance=dict(checkpoint=str(path)),
    )
    write_record(record, tmp_path / "record.json")
    return path


def test_card_says_what_the_checkpoint_is(finished, pretrained):
    card = card_of(finished)
    write_card(card, finished.parent)
    again = read_card(finished)
    assert again == card
    assert again.file == "e.pth"
    assert again.sha256 == hashlib.sha256(finished.read_bytes()).hexdigest()
    assert (again.method, again.preset, again.seed) == ("mixpro", "mixpro", 3)
    assert (again.protocol.name, again.protocol.version) == ("digits-cls", 2)
    assert again.metrics == {"top1": 71.5}
    assert again.backbone == {
        "type": "mixpro_bench.TimmBackbone", "name": "deit_tiny_patch16_224", "num_classes": 10
    }  # fmt: skip
    assert again.image_size == (224, 224)
    assert again.normalisation.mean == (0.5, 0.5, 0.5)
    assert again.normalisation.std == (0.229, 0.224, 0.225)
    assert again.parameters == sum(v.numel() for k, v in pretrained.items() if k.startswith("backbone."))
    assert again.packages["timm"]


def test_metrics_of_another_checkpoint_are_not_taken(finished):
    other = finished.with_name("other.pth")
    other.write_bytes(finished.read_bytes())
    assert card_of(other).metrics == {}


def test_card_of_another_file_is_refused(finished):
    write_card(card_of(finished), finished.parent)
    save_checkpoint(dict(state_dict={"w": torch.zeros(1)}), finished)
    with pytest.raises(UserError, match="card of another file"):
        read_card(finished)
    card_path(finished).write_text("{}")
    with pytest.raises(UserError, match="is not a model card"):
        read_card(finished)


def test_no_card(tmp_path):
    assert read_card(tmp_path / "absent.pth") is None


def test_config_text_is_read_and_not_executed(tmp_path):
    mark = tmp_path / "executed"
    lines = ["a = dict(x=1, y=[dict(z=(1, None))])", f"b = open({str(mark)!r}, 'w')", "import os", "c = {'p.q': -1}"]
    text = "\n".join(lines)
    assert read_config_text(text) == {"a": {"x": 1, "y": [{"z": (1, None)}]}, "c": {"p.q": -1}}
    assert not mark.exists()
    assert read_config_text("not python (") == {}


def test_normalisation_of_detectors_is_given_between_0_and_1():
    cfg = dict(model=dict(data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[255.0, 255.0, 51.0])))
    facts = facts_of({}, cfg)
    assert facts["normalisation"].mean == (0.5, 0.5, 0.5)
    assert facts["normalisation"].std == (1.0, 1.0, 0.2)
    assert facts_of({}, {})["normalisation"] is None
