"""The models of the configs: built, fitted to their policies, given their parameter groups, and trained for a step."""

from __future__ import annotations

import ast
import functools
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import TRANSFORMS, init_default_scope

from mixpro_bench.compat.checkpoint import save_checkpoint
from mixpro_bench.config_index import LEFT_OUT
from mixpro_bench.datasets.classification import build_transform
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.policy import Place
from mixpro_bench.pretrain.classifier import build_policy
from mixpro_bench.pretrain.objectives.supervised import supervised_losses
from mixpro_bench.registry import MODELS
from mixpro_bench.transfer.optimizer import param_groups

sys.path.insert(0, str(Path(__file__).parent))
from shipped import ENTRIES, IN1K, Once, family, loaded, reduced, widths

pytestmark = pytest.mark.mm

BACKBONES = sorted({e.backbone for e in IN1K})
SMALLEST = re.compile("tiny|b0|xxs")
FIRST = {
    "deit": "patch_embed.proj.weight",
    "vit": "patch_embed.proj.weight",
    "cait": "patch_embed.proj.weight",
    "swin": "patch_embed.proj.weight",
    "pvt": "patch_embed.proj.weight",
    "xcit": "patch_embed.proj.0.0.weight",
}
# Equal models of several configs take one step.
new_step = Once()
# Parameters of more than one dimension that are no weights of a product with features.
NO_WEIGHTS = ("pos_embed", "cls_token", "relative_position_bias_table", "temperature", "gamma")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@functools.cache
def full_size(backbone: str) -> torch.nn.Module:
    """Return a backbone of full size that takes no memory."""
    entry = next(e for e in IN1K if e.backbone == backbone)
    with torch.device("meta"):
        return MODELS.build(dict(loaded(entry.file).model.backbone))


@pytest.mark.parametrize(
    "backbone", [b if SMALLEST.search(b) else pytest.param(b, marks=pytest.mark.configs) for b in BACKBONES]
)
def test_policies_fit_their_backbones(backbone):
    """At full size: the groups of the optimizer are the same for every method, and weights alone decay."""
    model = torch.nn.Module()
    model.backbone = full_size(backbone)
    groups = {g["name"]: set(g["param_names"]) for g in param_groups(model, 1e-3, 0.05)}
    assert set(groups) == {"decay", "no_decay"}
    parameters = dict(model.named_parameters())
    for name in groups["decay"]:
        assert parameters[name].ndim >= 2
        assert name.endswith("weight")
        assert not any(part in name for part in NO_WEIGHTS)
    for name in groups["no_decay"]:
        assert parameters[name].ndim <= 1 or any(part in name for part in NO_WEIGHTS)
    ids = [model.backbone.layer_id(n.removeprefix("backbone.")) for n in parameters]
    assert min(ids) == 0
    assert max(ids) == model.backbone.num_layers - 1

    for entry in (e for e in IN1K if e.backbone == backbone):
        model.policy = build_policy(_policy(entry.file))
        model.policy.setup(model.backbone, 1000, (224, 224))
        own = {g["name"]: {n for n in g["param_names"] if n.startswith("backbone.")} for g in param_groups(model)}
        assert own == groups


def _policy(path: str) -> dict:
    """Return the policy a file states itself: loading nearly two hundred configs takes a minute."""
    words = (node for node in ast.walk(ast.parse(Path(path).read_text())) if isinstance(node, ast.keyword))
    call = next(word.value for word in words if word.arg == "policy")
    return {word.arg: ast.literal_eval(word.value) for word in call.keywords}


@pytest.mark.parametrize("one", LEFT_OUT[:1], ids=lambda one: one.preset)
def test_what_is_left_out_for_the_backbone_is_impossible(one):
    backbone = next(b for b in BACKBONES if one.fits(b, "tl-align"))
    with pytest.raises(UserError, match="cannot carry the share"):
        build_policy(dict(preset="tl-align")).setup(full_size(backbone), 1000, (224, 224))


def test_a_pretraining_takes_a_step(pretraining):
    cfg = loaded(pretraining.file)
    if "transform" in cfg.train_dataloader.dataset:
        build_transform(dict(cfg.train_dataloader.dataset.transform))
    model = dict(cfg.model, policy=dict(cfg.model.policy, mix_group=None)) if "policy" in cfg.model else dict(cfg.model)
    if not pretraining.backbone.startswith("vit_"):
        model["backbone"] = reduced(pretraining.backbone, cfg, num_classes=7)
    side = cfg.train_dataloader.dataset.transform.input_size
    if not new_step(model, cfg.optim_wrapper, side):
        return
    model = MODELS.build(model).train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    images, labels = torch.randn(2, 3, side, side), torch.tensor([1, 4])
    teacher = torch.rand(2, 7, 7)
    for branch in model.policy.branches:
        aux = {"teacher": teacher} if branch.labeler.needs_aux else {}
        losses, _ = supervised_losses(model.backbone, model.policy, branch, Place(0, 3), images, labels, aux)
        total = sum(losses.values())
        assert torch.isfinite(total)
        optimizer.update_params(total)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def dense_settings(entry, checkpoint=None) -> dict:
    """Return the detector or segmenter of a config, with a small backbone."""
    cfg = loaded(entry.file)
    if entry.backbone.startswith("vit_"):
        return dict(cfg.model, backbone=dict(cfg.model.backbone, init_cfg=None))
    init = dict(type="mixpro_bench.Handover", checkpoint=str(checkpoint)) if checkpoint else None
    backbone = reduced(entry.backbone, cfg, init_cfg=init)
    channels = widths(entry.backbone, cfg)
    neck = cfg.model.to_dict()["neck"] if not isinstance(cfg.model, dict) else dict(cfg.model.neck)
    if "necks" in neck:
        neck["necks"] = [dict(neck["necks"][0], in_channels=channels), *neck["necks"][1:]]
    else:
        neck["in_channels"] = channels
    return dict(cfg.model, backbone=backbone, neck=neck)


def dense(entry, checkpoint=None) -> tuple[Config, torch.nn.Module]:
    """Build the detector or segmenter of a config with a small backbone."""
    from mixpro_bench.compat import install

    install()
    cfg = loaded(entry.file)
    init_default_scope(cfg.default_scope)
    return cfg, MODELS.build(dense_settings(entry, checkpoint))


def batch(task: str, height: int, width: int) -> dict:
    """Return two images of different sizes with labels, as the pipelines leave them."""
    data: dict = dict(inputs=[], data_samples=[])
    for h, w in ((height, width), (height - 9, width)) if task == "det" else ((height, width),) * 2:
        data["inputs"].append(torch.randint(0, 256, (3, h, w), dtype=torch.uint8))
        meta = dict(img_shape=(h, w), ori_shape=(h, w), scale_factor=(1.0, 1.0), img_id=1, img_path="")
        data["data_samples"].append(_boxes(h, w, meta) if task == "det" else _mask(h, w, meta))
    return data


def _boxes(h: int, w: int, meta: dict):
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    masks = np.zeros((1, h, w), np.uint8)
    masks[0, 8:40, 10:50] = 1
    truth = InstanceData(
        bboxes=torch.tensor([[10.0, 8.0, 50.0, 40.0]]), labels=torch.tensor([3]), masks=BitmapMasks(masks, h, w)
    )
    return DetDataSample(gt_instances=truth, ignored_instances=truth[:0], metainfo=meta)


def _mask(h: int, w: int, meta: dict):
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    return SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 10, (1, h, w))), metainfo=meta)


def test_a_transfer_takes_a_step(transfer):
    from mixpro_bench.compat import install

    install()
    cfg = loaded(transfer.file)
    init_default_scope(cfg.default_scope)
    for name in ("train_dataloader", "val_dataloader"):
        for step in cfg[name].dataset.pipeline:
            TRANSFORMS.build(step)
    divisor = 28 if transfer.backbone.endswith("p14") else 32
    if transfer.task == "seg" and "upernet" in transfer.protocol:
        assert cfg.model.data_preprocessor.size == ((532, 532) if divisor == 28 else (512, 512))
    if not new_step(dense_settings(transfer)):
        return
    _, model = dense(transfer)
    if transfer.task == "seg" and "upernet" in transfer.protocol:
        model.data_preprocessor.size, model.data_preprocessor.size_divisor = None, divisor
    build_optim_wrapper(model, cfg.optim_wrapper)
    loss_of(model.train(), batch(transfer.task, 96, 131)).backward()
    still = [n for n, p in model.backbone.named_parameters() if p.requires_grad and p.grad is None]
    assert not still
    if family(transfer.backbone) in FIRST:
        assert model.backbone.model.get_parameter(FIRST[family(transfer.backbone)]).grad.abs().sum() > 0


def loss_of(model: torch.nn.Module, data: dict) -> torch.Tensor:
    """Return the sum of a model's losses on a batch."""
    loss, _ = model.parse_losses(model(**model.data_preprocessor(data, True), mode="loss"))
    assert torch.isfinite(loss)
    return loss


PATCH_14 = [e for e in ENTRIES if e.backbone == "deit_tiny_p14" and e.protocol.endswith(("1x", "160k"))]


@pytest.mark.parametrize("entry_14", [e for e in PATCH_14 if e.task != "pretrain"], ids=lambda e: e.task)
def test_patch_14_goes_downstream_as_it_is(entry_14, tmp_path):
    """All of the checkpoint is taken over, nothing resampled, and predictions have the size of the image."""
    source = next(e for e in IN1K if e.backbone == "deit_tiny_p14" and e.preset == "mixpro")
    pretrained = MODELS.build(reduced("deit_tiny_p14", loaded(source.file), num_classes=7))
    assert (pretrained.patch_size, pretrained.model.patch_embed.num_patches) == (14, 256)
    state = {f"backbone.{name}": value for name, value in pretrained.state_dict().items()}
    path = save_checkpoint(dict(meta=dict(mixpro_bench=dict(preset="mixpro")), state_dict=state), tmp_path / "up.pth")
    _, model = dense(entry_14, path)
    model.backbone.init_weights()
    audit = model.backbone.load_audit
    assert (audit.share, list(audit.missing), list(audit.resized)) == (1.0, [], [])
    assert torch.equal(model.backbone.model.pos_embed, pretrained.model.pos_embed)

    data = batch(entry_14.task, 100, 150)
    inputs = model.data_preprocessor({"inputs": data["inputs"][:1], "data_samples": data["data_samples"][:1]}, False)
    height, width = inputs["inputs"].shape[-2:]
    assert (height, width) == (112, 168)  # whole tokens and whole cells of stride 4
    with torch.no_grad():
        maps = model.eval().backbone(inputs["inputs"])
        levels = model.neck(maps)
        prediction = model(**inputs, mode="predict")[0]
    assert [tuple(m.shape[-2:]) for m in maps] == [(8, 12)] * 4
    assert [tuple(level.shape[-2:]) for level in levels[:4]] == [(28, 42), (14, 21), (7, 11), (4, 6)]
    if entry_14.task == "seg":
        assert prediction.pred_sem_seg.data.shape[-2:] == (100, 150)
    else:
        assert prediction.pred_instances.masks.shape[-2:] == (100, 150)


LAYER_DECAY = [e for e in ENTRIES if e.protocol.endswith("-layerdecay")]


@pytest.mark.parametrize("size", ["tiny", *(pytest.param(s, marks=pytest.mark.configs) for s in ("small", "base"))])
@pytest.mark.parametrize("task", ["det", "seg"])
def test_layer_decay_falls_with_the_distance_to_the_heads(size, task):
    """At full size: lr * decay ** (n - 1 - id) in the backbone of n layers with the heads as the last; heads at lr."""
    entry = next(e for e in LAYER_DECAY if (e.task, e.backbone) == (task, f"deit_{size}_p16"))
    cfg = loaded(entry.file)
    lr, decay = cfg.optim_wrapper.optimizer.lr, cfg.optim_wrapper.paramwise_cfg.layer_decay
    with torch.device("meta"):
        model = torch.nn.Module()
        model.backbone = MODELS.build({**cfg.model.backbone, "init_cfg": None})
        model.neck = torch.nn.Conv2d(4, 4, 1)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    rate = {n: g["lr"] for g in wrapper.optimizer.param_groups for n in g["param_names"]}
    layers = 12 + 2  # stem, blocks, heads
    expected = {}
    for name, _ in model.named_parameters():
        block = re.match(r"backbone\.model\.blocks\.(\d+)\.", name)
        stem = name.startswith(("backbone.model.patch_embed", "backbone.model.pos_embed", "backbone.model.cls_token"))
        # The final norm belongs to the last block.
        layer = int(block[1]) + 1 if block else 0 if stem else 12 if name.startswith("backbone.") else layers - 1
        expected[name] = lr * decay ** (layers - 1 - layer)
    assert rate == pytest.approx(expected)
    assert rate["neck.weight"] == rate["neck.bias"] == lr
    assert rate["backbone.model.patch_embed.proj.weight"] == pytest.approx(lr * decay**13)
    plain = build_optim_wrapper(model, dict(cfg.optim_wrapper, paramwise_cfg=None))
    without = {n for g in plain.optimizer.param_groups if not g["weight_decay"] for n in g["param_names"]}
    assert without == {n for g in wrapper.optimizer.param_groups if not g["weight_decay"] for n in g["param_names"]}
    assert {g["lr"] for g in plain.optimizer.param_groups} == {lr}
