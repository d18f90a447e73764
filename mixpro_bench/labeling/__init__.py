"""Label space: how much each of two mixed images weighs in the label."""

from mixpro_bench.labeling.area import AreaLabel
from mixpro_bench.labeling.labeler import Labeler
from mixpro_bench.labeling.pal import PAL

__all__ = ["PAL", "AreaLabel", "Labeler"]
