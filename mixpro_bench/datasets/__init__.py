"""Where samples come from: classification sources, the built-in digits, other people's data, and its checks."""

from mixpro_bench.datasets.classification import ImageFolder
from mixpro_bench.datasets.corrupt import Corrupt
from mixpro_bench.datasets.repeated import RepeatedSampler
from mixpro_bench.datasets.seeding import EpochIndex, EpochSampler, SeededDataset

__all__ = ["Corrupt", "EpochIndex", "EpochSampler", "ImageFolder", "RepeatedSampler", "SeededDataset"]
