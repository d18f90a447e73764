"""Imports this room's registered classes; the registries name it as their location.

A config with our ``runner_type`` comes by here before anything of mmdet or mmseg is built, also under their own tools.
"""

from mixpro_bench import compat
from mixpro_bench.compat.amp import AmpOptimWrapper, OptimWrapper
from mixpro_bench.compat.checkpoint_hook import CheckpointHook
from mixpro_bench.compat.distributed import DistributedDataParallel
from mixpro_bench.compat.ema import EMAHook
from mixpro_bench.compat.loops import EpochBasedTrainLoop, IterBasedTrainLoop
from mixpro_bench.compat.runner import Runner
from mixpro_bench.compat.runtime_info import RuntimeInfoHook
from mixpro_bench.compat.step_seed import StepSeedHook

compat.install()

__all__ = [
    "AmpOptimWrapper",
    "CheckpointHook",
    "DistributedDataParallel",
    "EMAHook",
    "EpochBasedTrainLoop",
    "IterBasedTrainLoop",
    "OptimWrapper",
    "Runner",
    "RuntimeInfoHook",
    "StepSeedHook",
]
