"""Label-aware importance for models without attention that average their tokens before the classifier.

Such a model's logit is a mean of one term per location, ``w_c . f_p`` (Zhou et al., arXiv:1512.04150). How much a
location speaks for the label of the image it shows is this package's substitute for attention; no released mixing
method does this.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Keeps the sum positive where no location speaks for its label.
FLOOR = 1e-6


@dataclass(frozen=True)
class Cam:
    """What class activation maps are made of; both parts are detached.

    Attributes:
        tokens: Features before pooling, shape (B, C, h, w).
        weight: Rows of the classifier, shape (K, C), times the gain of a norm between pooling and classifier.
    """

    tokens: Tensor
    weight: Tensor

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the token grid."""
        return self.tokens.shape[-2], self.tokens.shape[-1]

    def activation(self, labels: Tensor) -> Tensor:
        """Return ``w_y . f_p`` for the label of every image, float32, shape (B, h, w).

        Args:
            labels: Class indices, shape (B,).
        """
        with torch.autocast(self.tokens.device.type, enabled=False), torch.no_grad():
            return torch.einsum("bc,bchw->bhw", self.weight[labels].float(), self.tokens.float())

    def importance(self, labels_a: Tensor, labels_b: Tensor | None = None, share: Tensor | None = None) -> Tensor:
        """Return how much every location speaks for the label of the image it shows.

        Args:
            labels_a: Class indices of A, shape (B,).
            labels_b: Class indices of B, shape (B,); None for images that are not mixed.
            share: Share of A in every location, shape (B, h, w); the two activations are mixed with it.

        Returns:
            float32, positive, sum 1 per image, shape (B, h, w).
        """
        score = self.activation(labels_a).relu()
        if labels_b is not None and share is not None:
            score = torch.lerp(self.activation(labels_b).relu(), score, share.to(score))
        score = score + FLOOR
        return score / score.sum(dim=(1, 2), keepdim=True)
