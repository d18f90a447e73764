"""The hook of objectives that mix by themselves: where the run is."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook

from mixpro_bench.pretrain.mixpro_hook import model_of, place_of
from mixpro_bench.registry import HOOKS


@HOOKS.register_module()
class PlaceHook(Hook):
    """Tells a model that draws by itself, such as `MixMIMPretrainer`, where the run is: ``model.place``."""

    priority = "ABOVE_NORMAL"

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Set the model's place."""
        model_of(runner).place = place_of(runner)
