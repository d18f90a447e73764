"""The handover: what is loaded, what is refused, and that it lasts."""

from __future__ import annotations

import hashlib
import re

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModule
from safetensors.torch import save_file

from mixpro_bench.compat.checkpoint import save_checkpoint
from mixpro_bench.errors import UserError
from mixpro_bench.registry import MODELS
from mixpro_bench.transfer import HUB_KEY, LoadAudit


class Detector(BaseModule):
    """Stands where mmdet's and mmseg's models stand: it initialises its children."""

    def __init__(self, backbone: dict) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)


@pytest.fixture
def start(tiny):
    def build_and_initialise(checkpoint, **handover):
        arguments = {k: handover.pop(k) for k in ("depth", "img_size") if k in handover}
        init_cfg = dict(type="mixpro_bench.Handover", checkpoint=str(checkpoint), **handover)
        model = Detector(dict(type="mixpro_bench.TimmBackbone", **{**tiny, **arguments}, dense=True, init_cfg=init_cfg))
        model.init_weights()
        return model

    return build_and_initialise


def test_weights_survive_init_weights_and_the_audit_tells_all(start, checkpoint, pretrained, upstream):
    model = start(checkpoint)
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, pretrained[f"backbone.{name}"]), name
    audit = LoadAudit.from_json(MessageHub.get_current_instance().get_info(HUB_KEY))
    assert audit == model.backbone.load_audit
    assert (audit.share, audit.missing, audit.unexpected, audit.weights) == (1.0, [], [], "raw")
    assert audit.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert audit.upstream == upstream
    assert "100 %" in audit.line()


def test_a_backbone_that_reinitialises_its_children_keeps_the_weights(checkpoint, build, pretrained):
    class Careless(type(build())):
        init_weights = BaseModule.init_weights

    arguments = dict(name="vit_tiny_patch16_224", img_size=32, patch_size=4, embed_dim=32, depth=4, num_heads=2)
    backbone = Careless(**arguments, dense=True, init_cfg=dict(type="mixpro_bench.Handover", checkpoint=checkpoint))
    backbone.init_weights()
    assert torch.equal(backbone.model.pos_embed, pretrained["backbone.model.pos_embed"])


def test_safetensors_of_timm(start, tmp_path, pretrained):
    inner = {name.removeprefix("backbone.model."): v.clone() for name, v in pretrained.items() if "labeler" not in name}
    save_file(inner, tmp_path / "deit.safetensors")
    assert start(tmp_path / "deit.safetensors").backbone.load_audit.share == 1.0


def test_other_backbone_is_refused_with_counts_names_and_way_out(start, checkpoint):
    with pytest.raises(UserError) as error:
        start(checkpoint, depth=6)
    text = str(error.value)
    assert "\n" not in text
    assert re.search(r"matches 54 of 78 tensors.*69\.2 %, at least 100 %.*missing: model\.blocks\.4.*min_share", text)


def test_min_share_can_be_lowered_knowingly(start, checkpoint):
    assert start(checkpoint, depth=6, min_share=0.5).backbone.load_audit.matched == 54


def test_nothing_matched_is_refused_at_any_share(start, tmp_path):
    other = save_checkpoint(dict(state_dict={"conv1.weight": torch.zeros(3)}), tmp_path / "resnet.pth")
    with pytest.raises(UserError, match="matches 0 of"):
        start(other, min_share=0.0)


def test_random_truncated_and_missing_files(start, tmp_path, checkpoint):
    random = tmp_path / "random.pth"
    random.write_bytes(bytes(range(256)) * 8)
    truncated = tmp_path / "truncated.pth"
    truncated.write_bytes(checkpoint.read_bytes()[:-2000])
    for path in (random, truncated, tmp_path / "absent.pth"):
        with pytest.raises(UserError, match=re.escape(str(path))):
            start(path)


def test_no_checkpoint_named(build):
    backbone = build(init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None))
    with pytest.raises(UserError, match="--from-scratch"):
        backbone.init_weights()
