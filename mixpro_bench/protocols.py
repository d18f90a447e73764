"""Protocols: everything that a run's config must say but for what is compared, by name and version.

A config names its protocol in ``bench.protocol`` and ``bench.version``. The numbers stand twice, in the config and
here, on purpose: whoever changes one of them changes what Records of that protocol mean, and `deviations` (in the tests
for every shipped config) says so. A changed number is a new version.

Method, preset, backbone and seed are left open; so is how fast a run is: workers, precision, and how the global batch
is made of processes, batch per process and accumulation. Learning rates scale linearly with the global batch
(``auto_scale_lr``), and as the schedules are factors of the rate, so do the first and the last rate of the warm-up and
of the cosine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mixpro_bench.errors import UserError


@dataclass(frozen=True)
class Protocol:
    """What a protocol fixes.

    Attributes:
        name: As in ``bench.protocol``.
        version: As in ``bench.version``.
        task: 'pretrain', 'det' or 'seg'.
        batch: Images per optimizer step, over all processes.
        fixes: Dotted config key -> value; None also stands for a key that is not there.
        source: Where the numbers are from.
        drop_path: Drop path by backbone; a backbone that is not named has ``other_drop_path``.
        other_drop_path: None leaves it open.
        claims: Whether results may be compared with published ones; short versions are for development.
    """

    name: str
    version: int
    task: str
    batch: int
    fixes: Mapping[str, Any]
    source: str
    drop_path: Mapping[str, float] = field(default_factory=dict)
    other_drop_path: float | None = None
    claims: bool = True


PROTOCOLS: dict[tuple[str, int], Protocol] = {}


def protocol_of(bench: Mapping[str, Any]) -> Protocol:
    """Return the protocol that a config's ``bench`` block names.

    Raises:
        UserError: There is no such protocol, or not in this version.
    """
    name, version = bench.get("protocol"), bench.get("version")
    if (name, version) in PROTOCOLS:
        return PROTOCOLS[name, version]  # type: ignore[index]
    versions = [str(v) for known, v in PROTOCOLS if known == name]
    if versions:
        raise UserError(f"bench.version is {version!r}: protocol {name} has version {', '.join(versions)}")
    known = ", ".join(sorted({known for known, _ in PROTOCOLS}))
    raise UserError(f"bench.protocol is {name!r}, which is none of {known}")


def deviations(cfg: Mapping[str, Any], world_size: int | None = None) -> list[str]:
    """Say where a resolved config leaves the protocol it names; an empty list means it keeps to it.

    Args:
        cfg: The config.
        world_size: Number of processes; None leaves the global batch unchecked.

    Raises:
        UserError: The protocol is unknown.
    """
    cfg = cfg.to_dict() if hasattr(cfg, "to_dict") else cfg
    bench = cfg.get("bench") or {}
    protocol = protocol_of(bench)
    found = []
    if bench.get("task") != protocol.task:
        found.append(f"bench.task is {bench.get('task')!r}, {protocol.name} is for {protocol.task!r}")
    wanted = dict(protocol.fixes)
    drop_path = protocol.drop_path.get(str(bench.get("backbone")), protocol.other_drop_path)
    if drop_path is not None:
        wanted["model.backbone.drop_path_rate"] = drop_path
    for key, value in wanted.items():
        for path, there, told in _differences(key, value_at(cfg, key), value):
            found.append(f"{path} is {there!r}, {protocol.name} v{protocol.version} says {told!r}")
    if world_size is not None and (batch := global_batch(cfg, world_size)) != protocol.batch:
        found.append(f"the global batch is {batch}, {protocol.name} v{protocol.version} says {protocol.batch}")
    return found


def global_batch(cfg: Mapping[str, Any], world_size: int) -> int:
    """Return the images per optimizer step: processes, times batch per process, times accumulated steps."""
    accumulated = value_at(cfg, "optim_wrapper.accumulative_counts") or 1
    return world_size * int(value_at(cfg, "train_dataloader.batch_size") or 1) * int(accumulated)


def value_at(cfg: Mapping[str, Any], key: str) -> Any:
    """Return what stands at a dotted key; None where nothing does.

    Examples:
        >>> value_at({"a": [{"b": 3}]}, "a.0.b"), value_at({"a": 1}, "a.b.c")
        (3, None)
    """
    value: Any = cfg
    for part in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, (list, tuple)) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _differences(path: str, there: Any, wanted: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted key, what is there, what is wanted), as deep as both go."""
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        for key in sorted({*there, *wanted} - {"_scope_"}):
            yield from _differences(f"{path}.{key}", there.get(key), wanted.get(key))
    elif isinstance(wanted, (list, tuple)) and isinstance(there, (list, tuple)) and len(there) == len(wanted):
        for index, pair in enumerate(zip(there, wanted, strict=True)):
            yield from _differences(f"{path}.{index}", *pair)
    elif not _same(there, wanted):
        yield path, there, wanted


def _same(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(there, (int, float)) and not isinstance(there, bool):
        return math.isclose(there, wanted, rel_tol=1e-9)
    return bool(there == wanted and type(there) is type(wanted))


def _add(protocol: Protocol) -> None:
    PROTOCOLS[protocol.name, protocol.version] = protocol


def _adamw(lr: float, weight_decay: float) -> dict[str, Any]:
    return {
        "optim_wrapper.constructor": "mixpro_bench.ParamGroups",
        "optim_wrapper.paramwise_cfg": None,
        "optim_wrapper.optimizer": dict(type="AdamW", lr=lr, betas=(0.9, 0.999), weight_decay=weight_decay),
        "optim_wrapper.clip_grad": None,
    }


def _scaled(batch: int) -> dict[str, Any]:
    return {"auto_scale_lr": dict(enable=True, base_batch_size=batch)}


def _epochs(count: int, **more: Any) -> dict[str, Any]:
    return {"train_cfg.type": "EpochBasedTrainLoop", "train_cfg.max_epochs": count, **more}


def _in1k(name: str, epochs: int, warmup: int, claims: bool) -> Protocol:
    linear = dict(type="LinearLR", start_factor=1e-3, by_epoch=True, begin=0, end=warmup, convert_to_iter_based=True)
    cosine = dict(type="CosineAnnealingLR", by_epoch=True, begin=warmup, end=epochs, T_max=epochs - warmup)
    return Protocol(
        name,
        1,
        "pretrain",
        1024,
        {
            **_epochs(epochs),
            **_adamw(1e-3, 0.05),
            **_scaled(1024),
            "param_scheduler": [linear, dict(cosine, eta_min_ratio=0.01, convert_to_iter_based=True)],
            "train_dataloader.drop_last": True,
            "train_dataloader.sampler": dict(type="mixpro_bench.EpochSampler", shuffle=True),
            "train_dataloader.dataset.transform": dict(
                input_size=224,
                is_training=True,
                interpolation="bicubic",
                auto_augment="rand-m9-mstd0.5-inc1",
                color_jitter=0.3,
                re_prob=0.25,
                re_mode="pixel",
                re_count=1,
            ),
            "val_dataloader.dataset.transform": dict(
                input_size=224, is_training=False, interpolation="bicubic", crop_pct=0.875
            ),
            # Not said here is 0.1, the presets' own.
            "model.policy.smoothing": None,
            "custom_hooks": [dict(type="mixpro_bench.MixProHook")],
        },
        "fistyee/MixPro config.py, main.py; DeiT's augmentation",
        {"swin_tiny": 0.2, "swin_small": 0.3, "swin_base": 0.5},
        0.1,
        claims,
    )


def _coco(name: str, epochs: int, steps: list[int], source: str, pipeline: list[Any], claims: bool = True) -> Protocol:
    warmup = dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000)
    drops = dict(type="MultiStepLR", begin=0, end=epochs, by_epoch=True, milestones=steps, gamma=0.1)
    return Protocol(
        name,
        1,
        "det",
        16,
        {
            **_epochs(epochs),
            **_adamw(1e-4, 0.05),
            **_scaled(16),
            "param_scheduler": [warmup, drops] if steps else [warmup],
            "train_dataloader.dataset.filter_cfg": dict(filter_empty_gt=True, min_size=32),
            "train_dataloader.dataset.pipeline": pipeline,
            "val_dataloader.dataset.pipeline.1": dict(type="Resize", scale=(1333, 800), keep_ratio=True),
            "model.roi_head.bbox_head.num_classes": 80,
            "model.roi_head.mask_head.num_classes": 80,
        },
        source,
        {"swin_tiny": 0.2, "swin_small": 0.2, "swin_base": 0.2},
        0.1,
        claims,
    )


def _coco_pipeline(*augmentations: dict[str, Any]) -> list[Any]:
    load = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True, with_mask=True)]
    return [*load, *augmentations, dict(type="PackDetInputs")]


def _ade20k(name: str, steps: int, source: str, claims: bool = True) -> Protocol:
    return Protocol(
        name,
        1,
        "seg",
        16,
        {
            "train_cfg.type": "IterBasedTrainLoop",
            "train_cfg.max_iters": steps,
            **_adamw(6e-5, 0.01),
            **_scaled(16),
            "param_scheduler": [
                dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=1500),
                dict(type="PolyLR", eta_min=0.0, power=1.0, begin=1500, end=steps, by_epoch=False),
            ],
            "train_dataloader.dataset.pipeline": [
                dict(type="LoadImageFromFile"),
                dict(type="LoadAnnotations", reduce_zero_label=True),
                dict(type="RandomResize", scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
                dict(type="RandomCrop", crop_size=(512, 512), cat_max_ratio=0.75),
                dict(type="RandomFlip", prob=0.5),
                dict(type="PhotoMetricDistortion"),
                dict(type="PackSegInputs"),
            ],
            "val_dataloader.dataset.pipeline.1": dict(type="Resize", scale=(2048, 512), keep_ratio=True),
            "model.decode_head.num_classes": 150,
            "model.auxiliary_head.num_classes": 150,
            "model.test_cfg.mode": "whole",
        },
        source,
        {"swin_tiny": 0.3, "swin_small": 0.3, "swin_base": 0.3},
        0.1,
        claims,
    )


_FLIP = dict(type="RandomFlip", prob=0.5)
_1X = _coco_pipeline(dict(type="Resize", scale=(1333, 800), keep_ratio=True), _FLIP)
_SIDES = dict(type="RandomChoiceResize", scales=[(side, 1333) for side in range(480, 801, 32)], keep_ratio=True)
_3X = _coco_pipeline(
    _FLIP,
    dict(
        type="RandomChoice",
        transforms=[
            [_SIDES],
            [
                dict(type="RandomChoiceResize", scales=[(400, 1333), (500, 1333), (600, 1333)], keep_ratio=True),
                dict(type="RandomCrop", crop_type="absolute_range", crop_size=(384, 600), allow_negative_crop=True),
                _SIDES,
            ],
        ],
    ),
)
_MMDET = "mmdet 3.3.0 configs/swin/mask-rcnn_swin-t-p4-w7_fpn_"
_MMSEG = "mmsegmentation 1.2.2 configs/"

_add(_in1k("in1k-300e", 300, 20, claims=True))
_add(_in1k("in1k-10e", 10, 1, claims=False))
_add(_coco("coco-maskrcnn-1x", 12, [8, 11], f"{_MMDET}1x_coco.py", _1X))
_add(_coco("coco-maskrcnn-3x", 36, [27, 33], f"{_MMDET}ms-crop-3x_coco.py", _3X))
_add(_coco("coco-maskrcnn-1e", 1, [], "coco-maskrcnn-1x, its first epoch", _1X, claims=False))
_add(
    _ade20k(
        "ade20k-upernet-160k",
        160000,
        f"{_MMSEG}swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
    )
)
_add(_ade20k("ade20k-upernet-80k", 80000, f"{_MMSEG}vit/vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512.py"))
_add(_ade20k("ade20k-upernet-8k", 8000, "ade20k-upernet-160k, shorter", claims=False))

_SHORT = {"optim_wrapper.clip_grad": dict(max_norm=5.0), "optim_wrapper.optimizer.lr": 1e-3}
for _name, _task, _batch, _length in (
    ("digits-cls", "pretrain", 32, _epochs(10)),
    ("digits-det", "det", 8, {"train_cfg.max_iters": 100}),
    ("digits-seg", "seg", 8, {"train_cfg.max_iters": 160}),
    ("small-cls", "pretrain", 64, _epochs(10)),
    ("small-det", "det", 8, {"train_cfg.max_iters": 160}),
    ("small-seg", "seg", 8, {"train_cfg.max_iters": 160}),
):
    _add(Protocol(_name, 1, _task, _batch, {**_SHORT, **_length}, "this package: a demo", claims=False))
