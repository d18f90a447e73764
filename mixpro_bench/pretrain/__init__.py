"""Pretraining: the classifier, its objectives, its hook and its metric."""

from mixpro_bench.pretrain.classifier import MixClassifier, build_policy
from mixpro_bench.pretrain.metrics import TopK
from mixpro_bench.pretrain.mixpro_hook import MixProHook

__all__ = ["MixClassifier", "MixProHook", "TopK", "build_policy"]
