"""What is checked of a system before the table calls it verified: sizes, maps, a step of every kind of training.

The tests and ``mixpro-bench systems --verify`` run the same functions. Each returns what it measured, or raises
`CheckError` with what it expected and what it found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mixpro_bench.config_index import config_folder
from mixpro_bench.systems.model import System
from mixpro_bench.systems.swap import put_backbone

SIZES = ((224, 320), (97, 141), (800, 1333))
CLASSES = 10
# Light heads on made-up pictures: the chain that real transfers take, in a second.
TEMPLATES = {
    "det": "transfer/det/mask-rcnn_vit-digits_digits.py",
    "seg": "transfer/seg/upernet_vit-digits_digits.py",
}


class CheckError(AssertionError):
    """A system is not what the table says."""


def expect(found: Any, expected: Any, what: str) -> None:
    """Raise `CheckError` if two values differ."""
    if found != expected:
        raise CheckError(f"{what}: expected {expected}, found {found}")


def build(config: Mapping[str, Any], *, meta: bool = False) -> nn.Module:
    """Build a backbone from its config, with the same weights at every call, or without memory."""
    from mixpro_bench.registry import MODELS

    if meta:
        with torch.device("meta"):
            return MODELS.build(dict(config))
    torch.manual_seed(0)
    return MODELS.build(dict(config))


def parameters(system: System) -> dict[str, Any]:
    """Count parameters exactly and multiplications to 2 %, and compare what the table says of the smallest variant."""
    from mixpro_bench.hooks.model_size import macs_of, parameters_of

    measured = {}
    for variant in system.variants:
        model = build(system.config(variant, img_size=variant.img_size), meta=True)
        count = parameters_of(model)
        expect(count, variant.parameters, f"parameters of {variant.name}")
        gmacs = macs_of(model, (variant.img_size, variant.img_size)) / 1e9
        if variant.gmacs is not None and abs(gmacs / variant.gmacs - 1) > 0.02:
            raise CheckError(f"GMACs of {variant.name}: expected {variant.gmacs} within 2 %, found {gmacs:.3f}")
        measured[variant.name] = {"parameters": count, "gmacs": round(gmacs, 3), "img_size": variant.img_size}
    smallest = build(system.config(img_size=system.smallest.img_size), meta=True)
    expect(smallest.importance_kinds[:1], (system.importance,), "own kind of importance")
    dense = build(system.config(dense=True), meta=True)
    expect(tuple(dense.out_channels), system.channels, "channels of the maps")
    expect(tuple(dense.out_strides), system.strides, "strides of the maps")
    return measured


@torch.no_grad()
def features(system: System) -> dict[str, Any]:
    """Run the tiny variant on landscape, odd and detection-sized images, and compare the sizes of its maps."""
    model = build(system.small_config(dense=True)).eval()
    shapes = {}
    for height, width in SIZES:
        maps = model(torch.randn(1, 3, height, width))
        expect(len(maps), 4, "number of maps")
        for found, channels, stride in zip(maps, model.out_channels, model.out_strides, strict=True):
            expect(tuple(found.shape[:2]), (1, channels), f"batch and channels at stride {stride}")
            for side, pixels in zip(found.shape[2:], (height, width), strict=True):
                if side not in (pixels // stride, math.ceil(pixels / stride), _whole(pixels, stride, model)):
                    raise CheckError(f"stride {stride} of {height} x {width} px gives a map of {tuple(found.shape)}")
            if not bool(found.isfinite().all()):
                raise CheckError(f"the map at stride {stride} of {height} x {width} px is not finite")
        shapes[f"{height}x{width}"] = [list(found.shape[2:]) for found in maps]
    return shapes


def _whole(pixels: int, stride: int, model: Any) -> int:
    """Cells of a stride where images are padded to whole cells of the coarsest map, whose stride is no power of two."""
    coarsest = max(model.out_strides)
    return math.ceil(pixels / coarsest) * coarsest // stride if coarsest & (coarsest - 1) else -1


def pretrain_step(system: System) -> dict[str, Any]:
    """Take one step of MixPro's own half, MaskMix and PAL, through the classifier that is pretrained."""
    from mmengine.optim import build_optim_wrapper

    from mixpro_bench.benchmark.step import own_half
    from mixpro_bench.mixing.policy import Place
    from mixpro_bench.registry import MODELS

    config = system.small_config(num_classes=CLASSES)
    patch = build(config, meta=True).patch_size
    policy = own_half("mixpro", patch * max(1, 16 // patch))
    torch.manual_seed(0)
    with scope("mixpro_bench"):
        model = MODELS.build(dict(type="mixpro_bench.MixClassifier", backbone=config, policy=policy)).train()
        wrapper = dict(constructor="mixpro_bench.ParamGroups", optimizer=dict(type="AdamW", lr=1e-3))
        optimizer = build_optim_wrapper(model, wrapper)
        model.place = Place(0, 0)
        losses = model.train_step(dict(inputs=torch.randn(4, 3, 64, 64), label=torch.arange(4)), optimizer)
    if "mix/lam_attention" not in losses:
        raise CheckError(f"the step ran without attention labels: {', '.join(losses)}")
    return {"loss": _stepped(model, optimizer, losses["loss"])}


def det_step(system: System) -> dict[str, Any]:
    """Take one step of Mask R-CNN."""
    return _dense_step(system, "det")


def seg_step(system: System) -> dict[str, Any]:
    """Take one step of UperNet."""
    return _dense_step(system, "seg")


def _dense_step(system: System, task: str) -> dict[str, Any]:
    from mmengine.optim import build_optim_wrapper

    from mixpro_bench.config import load_config
    from mixpro_bench.registry import MODELS

    cfg = put_backbone(load_config(config_folder() / TEMPLATES[task]), system.small_config(), system.name)
    cfg.model["backbone"]["init_cfg"] = None
    torch.manual_seed(0)
    with scope(cfg.default_scope):
        model = MODELS.build(cfg.model).train()
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
        losses = model.train_step(made_up(task, 96, 131), optimizer)
    return {"loss": _stepped(model, optimizer, losses["loss"])}


def scope(name: str) -> AbstractContextManager:
    """Look types up in a package's registries, whoever was asked before."""
    from mmengine.registry import DefaultScope

    return DefaultScope.overwrite_default_scope(name)


def _stepped(model: nn.Module, optimizer: Any, loss: Tensor) -> float:
    """Return the loss of a step that left everything finite and gave every trained parameter of the backbone a say."""
    if not bool(torch.isfinite(loss)):
        raise CheckError(f"the loss is {float(loss)}")
    broken = [name for name, value in model.named_parameters() if not bool(value.isfinite().all())]
    expect(broken, [], "parameters that are not finite after the step")
    # The optimizer keeps a state of what had a gradient.
    known = optimizer.optimizer.state
    still = [name for name, value in model.backbone.named_parameters() if value.requires_grad and value not in known]
    expect(still, [], "parameters of the backbone that the step left without gradient")
    return round(float(loss.detach()), 4)


def made_up(task: str, height: int, width: int) -> dict[str, list]:
    """Return two images with labels, as mmdet's and mmseg's pipelines leave them."""
    data: dict[str, list] = dict(inputs=[], data_samples=[])
    for _ in range(2):
        data["inputs"].append(torch.randint(0, 256, (3, height, width), dtype=torch.uint8))
        meta = dict(img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0), img_id=1)
        data["data_samples"].append((_objects if task == "det" else _mask)(height, width, meta))
    return data


def _objects(height: int, width: int, meta: dict) -> Any:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    mask = np.zeros((1, height, width), np.uint8)
    mask[0, 8:40, 10:50] = 1
    box = torch.tensor([[10.0, 8.0, 50.0, 40.0]])
    truth = InstanceData(bboxes=box, labels=torch.tensor([3]), masks=BitmapMasks(mask, height, width))
    return DetDataSample(gt_instances=truth, ignored_instances=truth[:0], metainfo=meta)


def _mask(height: int, width: int, meta: dict) -> Any:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    truth = PixelData(data=torch.randint(0, CLASSES, (1, height, width)))
    return SegDataSample(gt_sem_seg=truth, metainfo=meta)


CHECKS: Mapping[str, Callable[[System], dict[str, Any]]] = {
    "parameters": parameters,
    "features": features,
    "pretrain_step": pretrain_step,
    "det_step": det_step,
    "seg_step": seg_step,
}
