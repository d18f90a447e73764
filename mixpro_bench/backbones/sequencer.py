"""Sequencer2D of timm (``timm.models.Sequencer2d``): recurrent networks over rows and columns, no attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from timm.models.sequencer import Sequencer2d
from torch import Tensor

from mixpro_bench.backbones.contract import Need, Output, Share
from mixpro_bench.backbones.family import Family


class Sequencer(Family):
    """How a Sequencer2D of timm meets the backbone contract; see `Family`.

    There is no attention to read: importance is a class activation map. Its strides are 7 and 14; dense images are
    padded to whole cells, and the pyramid makes 4, 8, 16 and 32 of them.
    """

    fixed_size = False

    def __init__(self, model: Sequencer2d, dense: bool) -> None:
        super().__init__(model, dense)
        self.patch_size = model.stem.patch_size[0]
        self.embed_dim = model.num_features
        self.stride = model.feature_info[-1]["reduction"]
        self.importance_kinds = ("cam",) if model.global_pool == "avg" else ()

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        model = self.model
        x = model.stem(x)
        for stage in model.stages:
            x = self._stage(stage, x)
        x = model.norm(x)
        return self.output(model.forward_head(x), x.permute(0, 3, 1, 2), need)

    def features(self, x: Tensor, out_indices: Sequence[int]) -> list[Tensor]:
        """Return the maps of the stages ``out_indices``; the last stage's goes through the final norm."""
        model = self.model
        x = model.stem(F.pad(x, (0, -x.shape[-1] % self.stride, 0, -x.shape[-2] % self.stride)))
        after: dict[int, Tensor] = {}
        for i, stage in enumerate(model.stages):
            x = self._stage(stage, x)
            if i in out_indices:
                last = i == len(model.stages) - 1
                after[i] = (model.norm(x) if last else x).permute(0, 3, 1, 2).contiguous()
        return [after[i] for i in out_indices]

    def head_weight(self) -> Tensor:
        """Return the classifier's rows; see `Family.head_weight`."""
        return self.model.head.fc.weight

    def _stage(self, stage, x: Tensor) -> Tensor:
        x = stage.downsample(x)
        for block in stage.blocks:
            x = self.run(block, x)
        return x
