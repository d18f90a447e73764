"""Reading recorded fixtures: every family's tests take what lies in the folder MIXPRO_GOLDEN, by default this one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mixpro_bench.backbones.timm import TimmBackbone

FOLDER = Path(os.environ.get("MIXPRO_GOLDEN") or Path(__file__).parent)
CLOSE = dict(rtol=1e-5, atol=1e-5)


def fixtures(pattern: str) -> list:
    return [pytest.param(path, id=path.stem) for path in sorted(FOLDER.glob(pattern))]


def load(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def same(ours: torch.Tensor, recorded: torch.Tensor) -> None:
    assert torch.equal(ours, recorded.to(ours.dtype))


def close(ours: torch.Tensor, recorded: torch.Tensor, **tolerance: float) -> None:
    torch.testing.assert_close(ours.detach(), recorded.to(ours.dtype), **(tolerance or CLOSE))


def tiny_vit(data: dict[str, torch.Tensor], size: int, patch: int, classes: int, dim: int, depth: int, heads: int):
    sizes = dict(img_size=size, patch_size=patch, embed_dim=dim, depth=depth, num_heads=heads, mlp_ratio=2)
    backbone = TimmBackbone("vit_tiny_patch16_224", num_classes=classes, **sizes)
    weights = {k[2:]: v for k, v in data.items() if k.startswith("w:") and not k.startswith("w:token_head")}
    backbone.model.load_state_dict(weights, strict=True)
    return backbone.train()


def same_gradients(backbone: TimmBackbone, data: dict[str, torch.Tensor]) -> None:
    parameters = dict(backbone.model.named_parameters())
    recorded = {k[2:]: v for k, v in data.items() if k.startswith("g:") and not k.startswith("g:token_head")}
    assert recorded
    for name, gradient in recorded.items():
        close(parameters[name].grad, gradient)
