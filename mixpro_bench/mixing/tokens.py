"""What the mixers share that mix whole tokens: the side of a token, and the grid it makes of an image."""

from __future__ import annotations

from mixpro_bench.errors import UserError
from mixpro_bench.mixing.batch import Mixer


class TokenMixer(Mixer):
    """A mixer whose images change hands token by token.

    Args:
        patch: Pixels per token side; None takes the model's patch. For models that merge tokens, give the pixels per
            token of the last stage, so that no token of any stage holds both images.

    Raises:
        UserError: If ``patch`` is not positive.
    """

    def __init__(self, patch: int | None = None) -> None:
        if patch is not None and patch < 1:
            raise UserError(f"{type(self).__name__} patch={patch}: a token has at least one pixel")
        self.patch = patch

    def setup(self, image_size: tuple[int, int] | None, patch_size: int) -> None:
        """Take over the model's patch, or refuse one that would cut its tokens in two; see `Mixer.setup`."""
        name = type(self).__name__
        if self.patch is None:
            self.patch = patch_size
        if self.patch % patch_size:
            raise UserError(
                f"{name} patch={self.patch} is no multiple of the model patch {patch_size}, so tokens would hold both "
                f"images; leave patch out to take the model's"
            )
        if image_size is not None:
            self.grid(*image_size)

    def grid(self, h: int, w: int) -> tuple[int, int]:
        """Return the rows and columns of tokens in an image of ``h`` x ``w`` pixels.

        Raises:
            UserError: If tokens do not fill the image, or their side is not known.
        """
        name = type(self).__name__
        if self.patch is None:
            raise UserError(f"{name} does not know the model patch: give patch, such as {name}(patch=16)")
        if h % self.patch or w % self.patch:
            raise UserError(f"{name} patch={self.patch} does not divide the image of {h} x {w} pixels")
        return h // self.patch, w // self.patch
