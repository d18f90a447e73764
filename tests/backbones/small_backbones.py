"""What the tests of all families share: small variants, and an input share with a known mean."""

from __future__ import annotations

import torch

from mixpro_bench.backbones import Share, TimmBackbone

# Small variants of every family: seconds instead of minutes, the same code.
TINY = {
    "vit": dict(name="vit_tiny_patch16_224", img_size=64, embed_dim=48, depth=4, num_heads=3),
    "distilled": dict(name="deit_tiny_distilled_patch16_224", img_size=64, embed_dim=48, depth=2, num_heads=3),
    "registers": dict(name="vit_tiny_patch16_224", img_size=64, embed_dim=48, depth=2, num_heads=3, reg_tokens=3),
    "gap": dict(
        name="vit_tiny_patch16_224",
        img_size=64,
        embed_dim=48,
        depth=2,
        num_heads=3,
        class_token=False,
        global_pool="avg",
    ),
    "cait": dict(name="cait_xxs24_224", img_size=64, embed_dim=48, depth=2, num_heads=4, init_values=0.1),
    "swin": dict(
        name="swin_tiny_patch4_window7_224",
        img_size=64,
        window_size=2,
        embed_dim=24,
        depths=(1, 2, 1, 2),
        num_heads=(1, 2, 3, 4),
    ),
    "pvt": dict(
        name="pvt_v2_b0",
        depths=(1, 1, 1, 2),
        embed_dims=(16, 24, 32, 48),
        num_heads=(1, 1, 2, 4),
        sr_ratios=(4, 2, 2, 1),
    ),
    "pvt_linear": dict(name="pvt_v2_b2_li", depths=(1, 1, 1, 1), embed_dims=(16, 24, 32, 48), num_heads=(1, 1, 2, 4)),
    "tnt": dict(name="tnt_s_patch16_224", img_size=64, embed_dim=48, inner_dim=12, depth=2, num_heads_outer=3),
    "sequencer": dict(
        name="sequencer2d_s", layers=(1, 1, 1, 1), embed_dims=(24, 48, 48, 48), hidden_sizes=(6, 12, 12, 12)
    ),
    "xcit": dict(name="xcit_nano_12_p16_224", img_size=64, embed_dim=64, depth=2, num_heads=4),
}


def build(family: str, **kwargs) -> TimmBackbone:
    """Build a small variant with the same weights at every call, in evaluation mode.

    Fresh weights attend almost uniformly, which would hide mistakes: queries and keys are scaled up.
    """
    torch.manual_seed(0)
    model = TimmBackbone(**{"num_classes": 7, **TINY[family], **kwargs}).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("qkv.weight", ".q.weight", ".k.weight", ".qk.weight", ".kv.weight")):
                parameter.mul_(6)
            if name.endswith("head.fc.weight"):
                parameter.normal_(std=0.1)
    return model


def images(batch: int = 2, size: tuple[int, int] = (64, 64)) -> torch.Tensor:
    """Return random images, the same at every call."""
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def half(batch: int = 2) -> Share:
    """Return a share of A that is 1 on the left half of the image and 0 on the right, for grids of even width."""

    def at(h: int, w: int) -> torch.Tensor:
        columns = (torch.arange(w) < w / 2).float()
        return columns.expand(batch, h, w)

    return Share(torch.full((batch,), 0.5), at)
