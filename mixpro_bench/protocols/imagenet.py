"""The protocols of pretraining on ImageNet-1k: one recipe for all methods, and each method's own beside it.

``in1k-300e`` is what methods are compared under. An ``in1k-official-*`` protocol is the recipe that a method's released
code runs, for reproducing its authors' number. These recipes differ from one another in more than the method, so they
are never ranked together; each has the DeiT baseline under the same recipe as its control.
"""

from __future__ import annotations

from typing import Any

from mixpro_bench.protocols.protocol import OWN_DROP_PATH, Protocol, adamw, add, epochs, scaled

_TRAIN = dict(
    input_size=224,
    is_training=True,
    interpolation="bicubic",
    auto_augment="rand-m9-mstd0.5-inc1",
    color_jitter=0.3,
    re_prob=0.25,
    re_mode="pixel",
    re_count=1,
)
_VAL = dict(input_size=224, is_training=False, interpolation="bicubic", crop_pct=0.875)
_ONCE = dict(type="mixpro_bench.EpochSampler", shuffle=True)
_THRICE = dict(type="mixpro_bench.RepeatedSampler", shuffle=True, repeats=3)
_MIX = dict(type="mixpro_bench.MixProHook")
# A decay of 0.99996, as timm's ModelEmaV2 is told.
_EMA = dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=4e-5)


def _after_warmup(count: int, warmup: int) -> list[dict[str, Any]]:
    """Return the schedule from 1e-6 to 1e-3 and back to 1e-5, step by step; the cosine begins after the warm-up."""
    linear = dict(type="LinearLR", start_factor=1e-3, by_epoch=True, begin=0, end=warmup, convert_to_iter_based=True)
    cosine = dict(type="CosineAnnealingLR", by_epoch=True, begin=warmup, end=count, T_max=count - warmup)
    return [linear, dict(cosine, eta_min_ratio=0.01, convert_to_iter_based=True)]


def _under_warmup(warmup: int, **more: Any) -> list[dict[str, Any]]:
    """Return the same as timm's scheduler does it: the cosine begins at zero, and the warm-up lies over it."""
    return [
        dict(type="mixpro_bench.CosineUnderWarmupLR", period=300, warmup=warmup, start_factor=1e-3, end_factor=0.01)
        | dict(by_epoch=True, **more)
    ]


def _pretraining(
    name: str,
    source: str,
    schedule: list[dict[str, Any]],
    count: int = 300,
    batch: int = 1024,
    weight_decay: float = 0.05,
    train: dict[str, Any] | None = None,
    val: dict[str, Any] | None = None,
    sampler: dict[str, Any] | None = None,
    ema: bool = False,
    claims: bool = True,
    mix_group: int = 128,
) -> Protocol:
    return Protocol(
        name,
        1,
        "pretrain",
        batch,
        {
            **epochs(count),
            **adamw(1e-3, weight_decay),
            **scaled(batch),
            "param_scheduler": schedule,
            "train_dataloader.drop_last": True,
            "train_dataloader.sampler": sampler or _ONCE,
            "train_dataloader.dataset.transform": {**_TRAIN, **(train or {})},
            "val_dataloader.dataset.transform": {**_VAL, **(val or {})},
            # Not said here is 0.1, the presets' own.
            "model.policy.smoothing": None,
            # Images that share lambda and partners: those of one process of the released codes.
            "model.policy.mix_group": mix_group,
            "custom_hooks": [_MIX, _EMA] if ema else [_MIX],
            # What goes downstream is what the recipe reports.
            "bench.transfer_weights": "ema" if ema else None,
        },
        source,
        {**OWN_DROP_PATH, "swin_tiny": 0.2, "swin_small": 0.3, "swin_base": 0.5},
        0.1,
        claims,
    )


def _transmix(name: str, source: str, warmup: int, weight_decay: float) -> Protocol:
    return _pretraining(
        name,
        source,
        _under_warmup(warmup),
        count=310,
        batch=256,
        weight_decay=weight_decay,
        train=dict(interpolation="random", re_prob=0.0),
        val=dict(crop_pct=0.9),
        ema=True,
        mix_group=32,
    )


_MIXPRO = "fistyee/MixPro config.py, main.py; DeiT's augmentation"
_TRANSMIX = "Beckschen/TransMix train.py, configs/"
_LATE = _under_warmup(5, late=1)

add(_pretraining("in1k-300e", _MIXPRO, _after_warmup(300, 20)))
add(_pretraining("in1k-10e", _MIXPRO, _after_warmup(10, 1), count=10, claims=False))

_PER_STEP = _under_warmup(20, convert_to_iter_based=True)
add(_pretraining("in1k-official-mixpro", "fistyee/MixPro config.py, main.py, README.md (DeiT-T, DeiT-S)", _PER_STEP))
add(
    _pretraining(
        "in1k-official-mixpro-b", "fistyee/MixPro main.py, README.md (DeiT-B)", _PER_STEP, batch=512, mix_group=64
    )
)
add(_transmix("in1k-official-transmix", f"{_TRANSMIX}deit_s_transmix.yaml", 20, 0.03))
add(_transmix("in1k-official-transmix-b", f"{_TRANSMIX}deit_b_transmix.yaml", 5, 0.05))
add(_pretraining("in1k-official-tl-align", "Euphoria16/TL-Align main_tla.py, samplers.py", _LATE, sampler=_THRICE))
add(_pretraining("in1k-official-tokenmix", "Sense-X/TokenMix main.py, exp/deit_small/run.sh", _LATE, 310, ema=True))
add(
    _pretraining(
        "in1k-official-smmix", "ChenMnZ/SMMix main.py, README.md", _LATE, train=dict(re_prob=0.0), mix_group=256
    )
)

# Without labels, so without a policy: MixMIM's own pretraining.
_MIM_SCHEDULE = [
    dict(type="LinearLR", start_factor=1e-4, by_epoch=True, begin=0, end=40, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", by_epoch=True, begin=40, end=600, T_max=560, convert_to_iter_based=True),
]
add(
    Protocol(
        "in1k-mim-600e",
        1,
        "pretrain",
        2048,
        {
            **epochs(600),
            **adamw(1.2e-3, 0.05),
            "optim_wrapper.optimizer": dict(type="AdamW", lr=1.2e-3, betas=(0.9, 0.95), weight_decay=0.05),
            **scaled(2048),
            "param_scheduler": _MIM_SCHEDULE,
            "model.ratio": 0.5,
            "train_dataloader.drop_last": True,
            "train_dataloader.sampler": _ONCE,
            "train_dataloader.dataset.transform": {
                **_TRAIN,
                **dict(scale=(0.2, 1.0), auto_augment=None, color_jitter=None, re_prob=0.0),
            },
            "val_dataloader.dataset.transform": _VAL,
            "custom_hooks": [dict(type="mixpro_bench.PlaceHook")],
            "bench.transfer_weights": None,
        },
        "MixMIM, 600 epochs of batch 2048; the rest as mmpretrain's mixmim-base_16xb128-coslr-300e",
        other_drop_path=0.0,
    )
)
