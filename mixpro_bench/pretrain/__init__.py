"""Pretraining: the classifier, its objectives, its hook, its schedule and its metric."""

from mixpro_bench.pretrain.classifier import MixClassifier, build_policy
from mixpro_bench.pretrain.metrics import TopK
from mixpro_bench.pretrain.mixpro_hook import MixProHook
from mixpro_bench.pretrain.schedules import CosineUnderWarmupLR

__all__ = ["CosineUnderWarmupLR", "MixClassifier", "MixProHook", "TopK", "build_policy"]
