"""Label space: how much each of two mixed images weighs in the label."""

from mixpro_bench.labeling.area import AreaLabel
from mixpro_bench.labeling.labeler import Labeler
from mixpro_bench.labeling.pal import PAL
from mixpro_bench.labeling.smmix import SMMixLabel
from mixpro_bench.labeling.tl_align import TLAlign
from mixpro_bench.labeling.tokenmix import TokenMixLabel
from mixpro_bench.labeling.transmix import TransMix

__all__ = ["PAL", "AreaLabel", "Labeler", "SMMixLabel", "TLAlign", "TokenMixLabel", "TransMix"]
