"""Global generators as a function of (seed, step, rank).

Reason: drop path, dropout and mmdet's samplers of boxes draw from the global generators, which remember everything that
was drawn before; a resumed run would go on differently.
Can go when those take a generator as an argument.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook

from mixpro_bench.registry import HOOKS
from mixpro_bench.rng import seed32


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Reseeds Python's, NumPy's and torch's generators (all devices) before each training step."""

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed for this step; seeding a CUDA generator does not wait for the device."""
        seed = seed32(runner.seed, "step", runner.iter, runner.rank)
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
