"""Image space: how two images become one."""

from mixpro_bench.mixing.batch import MixedBatch, Mixer
from mixpro_bench.mixing.maskmix import MaskMix
from mixpro_bench.mixing.mixup import CutMix, Mixup, NoMix
from mixpro_bench.mixing.policy import Branch, MixPolicy, Place
from mixpro_bench.mixing.region import BoxRegion, ConstantRegion, GridRegion, Region
from mixpro_bench.mixing.smmix import SMMix
from mixpro_bench.mixing.tokencutmix import TokenCutMix
from mixpro_bench.mixing.tokenmix import TokenMix

__all__ = [
    "BoxRegion",
    "Branch",
    "ConstantRegion",
    "CutMix",
    "GridRegion",
    "MaskMix",
    "MixPolicy",
    "MixedBatch",
    "Mixer",
    "Mixup",
    "NoMix",
    "Place",
    "Region",
    "SMMix",
    "TokenCutMix",
    "TokenMix",
]
