"""A tiny backbone and a checkpoint as a pretraining run would leave it."""

from __future__ import annotations

import pytest
import torch

from mixpro_bench.backbones import TimmBackbone
from mixpro_bench.compat.checkpoint import save_checkpoint

TINY = dict(name="vit_tiny_patch16_224", img_size=32, patch_size=4, embed_dim=32, depth=4, num_heads=2)


def _build(dense: bool = True, **changes) -> TimmBackbone:
    return TimmBackbone(**{**TINY, "dense": dense, **changes})


@pytest.fixture(scope="session")
def tiny():
    """Return the arguments of the tiny backbone."""
    return dict(TINY)


@pytest.fixture(scope="session")
def build():
    """Return the function that builds the tiny backbone, dense by default."""
    return _build


@pytest.fixture(scope="session")
def upstream():
    """Return what the pretraining run says of itself."""
    return dict(task="pretrain", method="mixpro", preset="mixpro", backbone="tiny", seed=3)


@pytest.fixture(scope="session")
def pretrained():
    """Return the state of a pretraining model: backbone with head, and a labeler with a head of its own."""
    torch.manual_seed(0)
    state = {f"backbone.{name}": value for name, value in _build(dense=False, num_classes=10).state_dict().items()}
    # Weights that no initialisation gives.
    state = {name: value + 0.01 * torch.randn_like(value) for name, value in state.items()}
    return {**state, "labeler.token_head.weight": torch.zeros(10, 32)}


@pytest.fixture
def checkpoint(tmp_path, pretrained, upstream):
    """Write the pretraining checkpoint."""
    return save_checkpoint(dict(meta=dict(mixpro_bench=upstream), state_dict=dict(pretrained)), tmp_path / "up.pth")
