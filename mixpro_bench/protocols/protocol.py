"""What a protocol is, and where the protocols are found."""

from __future__ import annotations

from collections.abc import Mapping
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
# Systems whose drop path is not the usual 0.1 have their own in every protocol; their base configs say whose choice.
OWN_DROP_PATH: Mapping[str, float] = {
    "ca_swin_tiny": 0.2,
    "dss_swin_tiny": 0.2,
    "hire_mlp_tiny": 0.0,
    "hornet_tiny": 0.2,
    "hornet_tiny_gf": 0.2,
    "oamixer_convmixer_768_32": 0.0,
    "pos_mlp_t": 0.2,
}


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


def add(protocol: Protocol) -> None:
    """Put a protocol into `PROTOCOLS`."""
    PROTOCOLS[protocol.name, protocol.version] = protocol


def adamw(lr: float, weight_decay: float, layer_decay: float | None = None) -> dict[str, Any]:
    """Return what a protocol fixes of the optimizer: AdamW, our parameter groups, no clipping."""
    return {
        "optim_wrapper.constructor": "mixpro_bench.ParamGroups",
        "optim_wrapper.paramwise_cfg": None if layer_decay is None else dict(layer_decay=layer_decay),
        "optim_wrapper.optimizer": dict(type="AdamW", lr=lr, betas=(0.9, 0.999), weight_decay=weight_decay),
        "optim_wrapper.clip_grad": None,
    }


def scaled(batch: int) -> dict[str, Any]:
    """Return that the learning rate is the one of a global batch, and scales linearly with it."""
    return {"auto_scale_lr": dict(enable=True, base_batch_size=batch)}


def epochs(count: int, **more: Any) -> dict[str, Any]:
    """Return the length of a training in epochs."""
    return {"train_cfg.type": "EpochBasedTrainLoop", "train_cfg.max_epochs": count, **more}
