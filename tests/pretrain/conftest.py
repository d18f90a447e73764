from __future__ import annotations

import pytest

SMALL = dict(
    type="mixpro_bench.TimmBackbone",
    name="vit_tiny_patch16_224",
    img_size=16,
    patch_size=4,
    embed_dim=16,
    depth=2,
    num_heads=2,
    num_classes=5,
)


@pytest.fixture
def small_backbone() -> dict:
    """The config of a backbone for 16 px images."""
    return dict(SMALL)
