"""Pretraining: the classifier, its objectives, its hook, its schedule and its metric."""

from mixpro_bench.pretrain.classifier import MixClassifier, build_policy
from mixpro_bench.pretrain.metrics import Reconstruction, TopK
from mixpro_bench.pretrain.mixpro_hook import MixProHook
from mixpro_bench.pretrain.objectives.mixmim import MixMIMPretrainer
from mixpro_bench.pretrain.place_hook import PlaceHook
from mixpro_bench.pretrain.schedules import CosineUnderWarmupLR

__all__ = [
    "CosineUnderWarmupLR",
    "MixClassifier",
    "MixMIMPretrainer",
    "MixProHook",
    "PlaceHook",
    "Reconstruction",
    "TopK",
    "build_policy",
]
