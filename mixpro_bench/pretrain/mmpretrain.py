"""The mixers as MMPretrain's batch augmentations, with area labels.

MMPretrain is no dependency. In one of its configs::

    custom_imports = dict(imports=['mixpro_bench.pretrain.mmpretrain'])
    model = dict(train_cfg=dict(augments=[dict(type='mixpro_bench.MaskMix', mask_patch=32)]))

Attention labels need more than its augmentations can pass on; `MixProHook` brings them to its classifiers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import torch
from mmengine.registry import Registry
from torch import Tensor

from mixpro_bench.errors import UserError
from mixpro_bench.mixing.batch import Mixer
from mixpro_bench.mixing.tokens import TokenMixer
from mixpro_bench.registry import BATCH_AUGMENTS, SCOPE


def mix_area(mixer: Mixer, inputs: Tensor, score: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mix images, and their scores by area.

    Args:
        mixer: Any mixer that needs no look at the unmixed images.
        inputs: Images, shape (B, 3, H, W).
        score: One-hot or soft labels, shape (B, K).
        generator: What is drawn from.

    Returns:
        Mixed images and mixed scores, of the same shapes.
    """
    rows = torch.arange(len(inputs), device=inputs.device)
    mixed = mixer(inputs, rows, [generator])
    lam, score = mixed.lam_area[:, None], score.float()
    return mixed.inputs, lam * score + (1 - lam) * score[mixed.partner]


class AreaAugment:
    """A mixer under MMPretrain's contract ``(inputs, score) -> (inputs, score)``.

    It draws from NumPy's global generator, as MMPretrain's own augmentations do: they are told neither seed nor step.

    Args:
        mixer: Config of the mixer.

    Raises:
        UserError: If the mixer must see the unmixed images first, or does not know its token side.
    """

    def __init__(self, mixer: dict) -> None:
        self.mixer: Mixer = BATCH_AUGMENTS.build(mixer)
        name = type(self.mixer).__name__
        if self.mixer.needs_unmixed is not None:
            raise UserError(
                f"{name} must see the unmixed images first, as no batch augmentation of MMPretrain can; use MixProHook"
            )
        if isinstance(self.mixer, TokenMixer) and self.mixer.patch is None:
            raise UserError(f"augment {name}: give patch, the pixels per token side, such as patch=16")

    def __call__(self, inputs: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch; see `mix_area`."""
        seed = np.random.randint(2**32, size=4, dtype=np.uint64)
        return mix_area(self.mixer, inputs, score, np.random.default_rng(seed.tolist()))


def register() -> bool:
    """Register all mixers under MMPretrain's BATCH_AUGMENTS as ``mixpro_bench.Name``; returns whether it is there."""
    if importlib.util.find_spec("mmpretrain") is None:
        return False
    from mmpretrain.registry import BATCH_AUGMENTS as THEIRS

    if SCOPE in THEIRS.children:
        return True
    ours = Registry("batch augment", parent=THEIRS, scope=SCOPE)
    BATCH_AUGMENTS.import_from_location()
    for name in BATCH_AUGMENTS.module_dict:
        ours.register_module(name=name, module=_builder(name))
    return True


def _builder(name: str) -> Callable[..., AreaAugment]:
    def build(**kwargs) -> AreaAugment:
        return AreaAugment(dict(type=name, **kwargs))

    return build


register()
