"""OAMixer: patches that show different things are mixed less, by a learned strength per block.

A layer on a network, not a network: here on DeiT, MLP-Mixer and ConvMixer. In the place of object labels, which need
a second network or data of their own, stands what a mixed image tells by itself: which of its two images a patch
shows. Where all patches show the same, as in plain images and in transfer, the network is the base network.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Share
from mixpro_bench.backbones.native import Encoded, Native
from mixpro_bench.backbones.pooled import Stage


def patch_distance(labels: Tensor) -> Tensor:
    """Return how much the labels of two patches differ, ``sum_k |y_ik - y_jk|``.

    Args:
        labels: Soft labels of every patch, shape (B, N, K).

    Returns:
        float32, shape (B, N, N).
    """
    return torch.cdist(labels.float(), labels.float(), p=1)


def identity_labels(share: Tensor) -> Tensor:
    """Turn the share of A in every patch, shape (B, h, w), into labels "A" and "B", shape (B, h * w, 2)."""
    of_a = share.flatten(1)
    return torch.stack((of_a, 1 - of_a), dim=2)


def nonnegative(strength: Tensor) -> Tensor:
    """Clamp at 0 from below; the gradient passes, so that what was once pushed below 0 can come back."""
    return strength + (strength.clamp(min=0) - strength).detach()


def damping(strength: Tensor, distance: Tensor) -> Tensor:
    """Return ``exp(-strength * distance) - 1``: what is added to every weight between two patches, times the weight."""
    return torch.expm1(-strength * distance)


class MixingBlock(nn.Module):
    """A block of a base network whose mixing of patches can be damped; what it runs on is the base's own affair."""

    def forward(self, x: Tensor, size: tuple[int, int], distance: Tensor | None, strength: Tensor) -> Tensor:
        """Run the block.

        Args:
            x: What the base runs on.
            size: Rows and columns of patches.
            distance: See `patch_distance`; None for the base's own mixing.
            strength: How strongly distance damps, a number.
        """
        raise NotImplementedError


class OAMixer(Native):
    """What OAMixers on all bases have in common.

    A base makes ``stem`` and its blocks in `build`, hands the blocks to `arrange`, and says how it begins and ends.
    The strengths start at 0, which is the base network.

    Args:
        variant: A name of ``variants``.
        token_loss: Weight of a loss that has every patch classified as the image it shows; 0 for none.
        **kwargs: See `Native`.
    """

    takes_share = True
    readout = ("kappa", "norm", "token_head")
    token_loss: float
    norm: nn.Module

    def arrange(self, blocks: Sequence[MixingBlock], dim: int, patch: int, token_loss: float) -> None:
        """Spread the blocks evenly over four stages, whose outputs are the maps, and make what all bases have."""
        edges = [i * len(blocks) // 4 for i in range(5)]
        self.stages = nn.ModuleList(Stage(None, blocks[a:b]) for a, b in itertools.pairwise(edges))
        self.kappa = nn.Parameter(torch.zeros(len(blocks)))
        self.token_loss = token_loss
        self.token_head = nn.Linear(dim, self.num_classes) if token_loss and self.num_classes else None
        self.patch_size, self.embed_dim, self.smallest = patch, dim, patch
        self.stage_channels, self.stage_strides = [dim] * 4, [patch] * 4

    @abstractmethod
    def begin(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Cut images into patches; returns what the blocks run on, and rows and columns of patches."""

    @abstractmethod
    def as_map(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the patches of what the blocks run on as a map, shape (B, C, h, w)."""

    @abstractmethod
    def close(self, x: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the patches after the final norm as a map (B, C, h, w), and what the classifier sees (B, C)."""

    def mixed_grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the grid on which patches are mixed, which may be another than that of the patches."""
        return size

    def read(self, block: nn.Module, x: Tensor, size: tuple[int, int]) -> Tensor | None:
        """Return the attention on the patches in the last block, (B, h, w); ``x`` is what enters it."""
        return None

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        x, size = self.begin(x)
        distance = None
        if share is not None:
            distance = patch_distance(identity_labels(share.at(*self.mixed_grid(size))))
        strengths = iter(nonnegative(self.kappa))
        maps, before = [], x
        for stage in self.stages:
            for block in stage.blocks:
                before = x
                x = self.run(block, x, size, distance, next(strengths))
            maps.append(self.as_map(x, size))
        if self.dense:
            return Encoded(maps, maps[-1])
        weights = self.read(self.stages[-1].blocks[-1], before, size) if kind else None
        tokens, readout = self.close(x, size)
        return Encoded(maps, tokens, readout, weights, aux_losses=self.patch_losses(tokens, share))

    def patch_losses(self, tokens: Tensor, share: Share | None) -> dict[str, Tensor]:
        """Return the loss of every patch's own classification, against its share of both labels.

        Args:
            tokens: Patches, shape (B, C, h, w).
            share: Where the two images are, and their labels.
        """
        if self.token_head is None or share is None or share.labels is None:
            return {}
        logits = self.token_head(tokens.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).float()
        of_a = share.at(*tokens.shape[2:]).to(logits)
        loss_a, loss_b = (
            F.cross_entropy(logits, labels[:, None, None].expand_as(of_a), reduction="none") for labels in share.labels
        )
        return {"tokens": self.token_loss * torch.lerp(loss_b, loss_a, of_a).mean()}
