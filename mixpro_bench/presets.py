"""The methods by name: which branches each preset runs, and where that comes from.

``official`` is the maths of the released code with its quirks; ``fixed`` mends its defects; ``ours`` is what no author
released. A config names a preset: ``policy=dict(preset='mixpro', mask_patch=32)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from mixpro_bench.errors import UserError

Policy = dict[str, Any]


@dataclass(frozen=True)
class Preset:
    """A named policy.

    Attributes:
        name: Name of the preset, as it stands in configs and Records.
        method: Name of the method it belongs to.
        kind: Whether it is what the authors released.
        source: Paper or file it follows.
        build: Returns the keyword arguments of `MixPolicy`.
    """

    name: str
    method: str
    kind: Literal["baseline", "official", "fixed", "ours"]
    source: str
    build: Callable[..., Policy]


PRESETS: dict[str, Preset] = {}


def preset(name: str, method: str, kind: str, source: str) -> Callable[[Callable[..., Policy]], Callable[..., Policy]]:
    """Register the function that builds a preset's policy."""

    def register(build: Callable[..., Policy]) -> Callable[..., Policy]:
        PRESETS[name] = Preset(name, method, kind, source, build)
        return build

    return register


def policy_of(name: str, **options: Any) -> Policy:
    """Return the policy of a preset.

    Args:
        name: Name of the preset.
        **options: Arguments of the preset, such as ``mask_patch`` or ``smoothing``.

    Raises:
        UserError: If the name or an option is unknown.
    """
    if name not in PRESETS:
        raise UserError(f"policy.preset={name!r} is unknown; there are {', '.join(sorted(PRESETS))}")
    known = inspect.signature(PRESETS[name].build).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UserError(f"policy.{unknown[0]}: preset {name!r} takes only {', '.join(known)}")
    return PRESETS[name].build(**options)


def area(smoothing: float) -> dict[str, Any]:
    """Return the config of area labels."""
    return dict(type="AreaLabel", smoothing=smoothing)


def timm_half(smoothing: float, prob: float) -> list[dict[str, Any]]:
    """Return Mixup (alpha 0.8) and CutMix (alpha 1), as likely as one another, ``prob`` in all."""
    return [
        dict(mixer=dict(type="Mixup", alpha=0.8), labeler=area(smoothing), prob=prob / 2),
        dict(mixer=dict(type="CutMix", alpha=1.0), labeler=area(smoothing), prob=prob / 2),
    ]


@preset("none", "none", "baseline", "no mixing")
def none(smoothing: float = 0.1) -> Policy:
    """Build the policy without mixing."""
    return dict(branches=[dict(mixer=dict(type="NoMix"), labeler=area(smoothing))])


@preset("mixup", "mixup", "baseline", "Mixup, arXiv 1710.09412; timm/data/mixup.py")
def mixup(smoothing: float = 0.1, alpha: float = 0.8) -> Policy:
    """Build the policy of Mixup alone."""
    return dict(branches=[dict(mixer=dict(type="Mixup", alpha=alpha), labeler=area(smoothing))])


@preset("cutmix", "cutmix", "baseline", "CutMix, arXiv 1905.04899; timm/data/mixup.py")
def cutmix(smoothing: float = 0.1, alpha: float = 1.0) -> Policy:
    """Build the policy of CutMix alone."""
    return dict(branches=[dict(mixer=dict(type="CutMix", alpha=alpha), labeler=area(smoothing))])


@preset("mixup-cutmix", "mixup-cutmix", "baseline", "DeiT's recipe; timm/data/mixup.py, switch_prob 0.5")
def mixup_cutmix(smoothing: float = 0.1) -> Policy:
    """Build the policy of the DeiT baseline: Mixup or CutMix, half and half."""
    return dict(branches=timm_half(smoothing, 1.0))


@preset("mixpro", "mixpro", "official", "MixPro, arXiv 2304.12043; fistyee/MixPro main.py with PAL_ATTN True (README)")
def mixpro(mask_patch: int = 32, smoothing: float = 0.1) -> Policy:
    """Build MixPro as its README runs it: MaskMix and PAL on half of the steps, hard labels and live factor there."""
    maskmix = dict(type="MaskMix", mask_patch=mask_patch, alpha=1.0, area="count")
    pal = dict(type="PAL", smoothing=smoothing, loss_smoothing=0.0, detach=False)
    return dict(branches=[dict(mixer=maskmix, labeler=pal, prob=0.5), *timm_half(smoothing, 0.5)])


@preset("mixpro-head", "mixpro", "official", "fistyee/MixPro main.py with PAL_ATTN False, as all its YAMLs have it")
def mixpro_head(mask_patch: int = 32, smoothing: float = 0.1) -> Policy:
    """Build MixPro as its released settings run it: MaskMix with area labels on half of the steps."""
    maskmix = dict(type="MaskMix", mask_patch=mask_patch, alpha=1.0, area="count")
    return dict(branches=[dict(mixer=maskmix, labeler=area(smoothing), prob=0.5), *timm_half(smoothing, 0.5)])


@preset("mixpro-fixed", "mixpro", "fixed", "MixPro with pixel areas, smoothed labels and a detached factor")
def mixpro_fixed(mask_patch: int = 32, smoothing: float = 0.1, detach: bool = True) -> Policy:
    """Build MixPro with its defects mended."""
    maskmix = dict(type="MaskMix", mask_patch=mask_patch, alpha=1.0, area="pixel")
    pal = dict(type="PAL", smoothing=smoothing, detach=detach)
    return dict(branches=[dict(mixer=maskmix, labeler=pal, prob=0.5), *timm_half(smoothing, 0.5)])
