"""The methods by name: which branches each preset runs, and where that comes from.

``official`` is the maths of the released code with its quirks; ``fixed`` mends its defects; ``ours`` is what no author
released. A config names a preset: ``policy=dict(preset='mixpro', mask_patch=32)``.

How often a method's own branch runs, and what runs otherwise, differs from author to author, and so do results, for
that reason alone. The presets named ``*-common`` keep a method's maths and give all methods one mix: the own branch on
half of the steps and the DeiT baseline (Mixup or CutMix) on the other half, so that ``mixup-cutmix`` is their control.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from mixpro_bench.errors import UserError

Policy = dict[str, Any]
Kind = Literal["baseline", "official", "fixed", "ours"]
Mix = Literal["official", "common", "both"]


@dataclass(frozen=True)
class Preset:
    """A named policy.

    Attributes:
        name: Name of the preset, as it stands in configs and Records.
        method: Name of the method it belongs to.
        kind: Whether it is what the authors released.
        source: Paper or file it follows.
        build: Returns the keyword arguments of `MixPolicy`.
        mix: Whose shares the branches have: 'official' (the authors'), 'common' (one for all methods), or 'both' where
            these are the same.
    """

    name: str
    method: str
    kind: Kind
    source: str
    build: Callable[..., Policy]
    mix: Mix = "official"


PRESETS: dict[str, Preset] = {}


def preset(
    name: str, method: str, kind: Kind, source: str, mix: Mix = "official"
) -> Callable[[Callable[..., Policy]], Callable[..., Policy]]:
    """Register the function that builds a preset's policy."""

    def register(build: Callable[..., Policy]) -> Callable[..., Policy]:
        PRESETS[name] = Preset(name, method, kind, source, build, mix)
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


def area(smoothing: float, loss: str = "ce") -> dict[str, Any]:
    """Return the config of area labels."""
    return dict(type="AreaLabel", smoothing=smoothing, loss=loss)


def mixup_part(smoothing: float, prob: float, loss: str = "ce") -> list[dict[str, Any]]:
    """Return Mixup (alpha 0.8) with probability ``prob``, or nothing for probability 0."""
    return [dict(mixer=dict(type="Mixup", alpha=0.8), labeler=area(smoothing, loss), prob=prob)] if prob else []


def with_mixup(branch: dict[str, Any], prob: float, smoothing: float, loss: str = "ce") -> Policy:
    """Return a policy that runs ``branch`` with probability ``prob``, and Mixup otherwise.

    Raises:
        UserError: If ``prob`` lies outside (0, 1].
    """
    if not 0 < prob <= 1:
        raise UserError(f"policy.prob={prob} lies outside (0, 1]")
    return dict(branches=[dict(branch, prob=prob), *mixup_part(smoothing, 1 - prob, loss)])


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


@preset("mixup-cutmix", "mixup-cutmix", "baseline", "DeiT's recipe; timm/data/mixup.py, switch_prob 0.5", "both")
def mixup_cutmix(smoothing: float = 0.1) -> Policy:
    """Build the policy of the DeiT baseline: Mixup or CutMix, half and half."""
    return dict(branches=timm_half(smoothing, 1.0))


@preset(
    "mixpro",
    "mixpro",
    "official",
    "MixPro, arXiv 2304.12043; fistyee/MixPro main.py with PAL_ATTN True (README)",
    "both",
)
def mixpro(mask_patch: int = 32, smoothing: float = 0.1) -> Policy:
    """Build MixPro as its README runs it: MaskMix and PAL on half of the steps, hard labels and live factor there."""
    maskmix = dict(type="MaskMix", mask_patch=mask_patch, alpha=1.0, area="count")
    pal = dict(type="PAL", smoothing=smoothing, loss_smoothing=0.0, detach=False)
    return dict(branches=[dict(mixer=maskmix, labeler=pal, prob=0.5), *timm_half(smoothing, 0.5)])


@preset(
    "mixpro-head", "mixpro", "official", "fistyee/MixPro main.py with PAL_ATTN False, as all its YAMLs have it", "both"
)
def mixpro_head(mask_patch: int = 32, smoothing: float = 0.1) -> Policy:
    """Build MixPro as its released settings run it: MaskMix with area labels on half of the steps."""
    maskmix = dict(type="MaskMix", mask_patch=mask_patch, alpha=1.0, area="count")
    return dict(branches=[dict(mixer=maskmix, labeler=area(smoothing), prob=0.5), *timm_half(smoothing, 0.5)])


@preset("mixpro-fixed", "mixpro", "fixed", "MixPro with pixel areas, smoothed labels and a detached factor", "both")
def mixpro_fixed(mask_patch: int = 32, smoothing: float = 0.1, detach: bool = True) -> Policy:
    """Build MixPro with its defects mended."""
    maskmix = dict(type="MaskMix", mask_patch=mask_patch, alpha=1.0, area="pixel")
    pal = dict(type="PAL", smoothing=smoothing, detach=detach)
    return dict(branches=[dict(mixer=maskmix, labeler=pal, prob=0.5), *timm_half(smoothing, 0.5)])


def transmix_branch(smoothing: float, downsample: str) -> dict[str, Any]:
    """Return CutMix with TransMix's labels."""
    labeler = dict(type="TransMix", smoothing=smoothing, weight=0.5, downsample=downsample)
    return dict(mixer=dict(type="CutMix", alpha=1.0), labeler=labeler)


@preset("transmix", "transmix", "official", "TransMix, arXiv 2111.09833; Beckschen/TransMix, DeiT-S as its config runs")
def transmix(smoothing: float = 0.1, prob: float = 0.5) -> Policy:
    """Build TransMix as its DeiT-S config runs: its switch of 0.8 is written with hyphens and not read, so 0.5."""
    return with_mixup(transmix_branch(smoothing, "nearest"), prob, smoothing)


@preset("transmix-b", "transmix", "official", "Beckschen/TransMix configs/deit_b_transmix.yaml")
def transmix_b(smoothing: float = 0.1, prob: float = 0.8) -> Policy:
    """Build TransMix as its DeiT-B config runs."""
    return with_mixup(transmix_branch(smoothing, "nearest"), prob, smoothing)


@preset("transmix-fixed", "transmix", "fixed", "TransMix with exact token areas and the switch of 0.8 its config means")
def transmix_fixed(smoothing: float = 0.1, prob: float = 0.8) -> Policy:
    """Build TransMix with its defects mended: no box vanishes on the token grid."""
    return with_mixup(transmix_branch(smoothing, "area"), prob, smoothing)


@preset("tl-align", "tl-align", "official", "TL-Align, arXiv 2210.06455; Euphoria16/TL-Align with --mixup 0 (README)")
def tl_align(smoothing: float = 0.1, patch: int | None = None) -> Policy:
    """Build TL-Align as released: token-aligned CutMix on every step, empty boxes included."""
    mixer = dict(type="TokenCutMix", patch=patch, alpha=1.0, empty=True)
    return dict(branches=[dict(mixer=mixer, labeler=dict(type="TLAlign", smoothing=smoothing))])


@preset("tl-align-fixed", "tl-align", "fixed", "TL-Align without empty boxes; Mixup may share the steps")
def tl_align_fixed(smoothing: float = 0.1, patch: int | None = None, prob: float = 1.0) -> Policy:
    """Build TL-Align with its defects mended: no empty boxes, and a Mixup part, if wanted, that does not crash."""
    mixer = dict(type="TokenCutMix", patch=patch, alpha=1.0, empty=False)
    return with_mixup(dict(mixer=mixer, labeler=dict(type="TLAlign", smoothing=smoothing)), prob, smoothing)


@preset("tokenmix", "tokenmix", "official", "TokenMix, arXiv 2207.08409; Sense-X/TokenMix exp/deit_small/run.sh")
def tokenmix(
    smoothing: float = 0.1,
    patch: int | None = None,
    kind: str = "block",
    fallback: str | None = None,
    teacher: dict[str, Any] | None = None,
) -> Policy:
    """Build TokenMix as released: binary cross-entropy to teacher scores that need not sum to one."""
    mixer = dict(type="TokenMix", kind=kind, patch=patch)
    labels = dict(normalise=False, loss="bce", axes="swapped", fallback=fallback, teacher=teacher)
    labeler = dict(type="TokenMixLabel", smoothing=smoothing, **labels)
    return with_mixup(dict(mixer=mixer, labeler=labeler), 0.5, smoothing, loss="bce")


@preset(
    "tokenmix-fixed", "tokenmix", "fixed", "TokenMix with labels that sum to one, and the cross-entropy of the others"
)
def tokenmix_fixed(
    smoothing: float = 0.1,
    patch: int | None = None,
    kind: str = "block",
    loss: str = "ce",
    fallback: str | None = None,
    teacher: dict[str, Any] | None = None,
) -> Policy:
    """Build TokenMix with its defects mended: labels are not negative and sum to one."""
    mixer = dict(type="TokenMix", kind=kind, patch=patch)
    labels = dict(normalise=True, loss=loss, axes="straight", fallback=fallback, teacher=teacher)
    labeler = dict(type="TokenMixLabel", smoothing=smoothing, **labels)
    return with_mixup(dict(mixer=mixer, labeler=labeler), 0.5, smoothing, loss=loss)


@preset("smmix", "smmix", "official", "SMMix, arXiv 2212.12977; ChenMnZ/SMMix smmix.py, engine.py")
def smmix(smoothing: float = 0.1, importance: str = "mean_attn") -> Policy:
    """Build SMMix as released: the pass over the unmixed images in full precision, logits blended."""
    mixer = dict(type="SMMix", importance=importance, unmixed_fp32=True)
    labeler = dict(type="SMMixLabel", smoothing=smoothing, consistency="logits")
    return with_mixup(dict(mixer=mixer, labeler=labeler), 0.5, smoothing)


@preset("smmix-fixed", "smmix", "fixed", "SMMix with the pass over the unmixed images at the precision of the step")
def smmix_fixed(smoothing: float = 0.1, importance: str = "mean_attn", consistency: str = "logits") -> Policy:
    """Build SMMix with its defects mended; ``consistency='probs'`` blends distributions instead of logits."""
    mixer = dict(type="SMMix", importance=importance, unmixed_fp32=False)
    labeler = dict(type="SMMixLabel", smoothing=smoothing, consistency=consistency)
    return with_mixup(dict(mixer=mixer, labeler=labeler), 0.5, smoothing)


def with_common_mix(own: Preset) -> Preset:
    """Return a preset whose own branch runs on half of the steps, and Mixup or CutMix otherwise; see this module."""
    takes = [p for p in inspect.signature(own.build).parameters.values() if p.name != "prob"]

    def build(**options: Any) -> Policy:
        branch, *others = own.build(**options)["branches"]
        # The loss of the method's other half stays, such as TokenMix's binary cross-entropy.
        labeler = others[0]["labeler"] if others else area(options.get("smoothing", 0.1))
        half = [dict(part, labeler=labeler) for part in timm_half(labeler["smoothing"], 0.5)]
        return dict(branches=[dict(branch, prob=0.5), *half])

    build.__signature__ = inspect.Signature(takes)  # type: ignore[attr-defined]
    source = f"{own.name} on half of the steps, Mixup and CutMix on a quarter each"
    return Preset(f"{own.name}-common", own.method, own.kind, source, build, "common")


for _name in ("transmix", "tl-align", "tokenmix", "smmix"):
    for _own in (PRESETS[_name], PRESETS[f"{_name}-fixed"]):
        PRESETS[f"{_own.name}-common"] = with_common_mix(_own)
