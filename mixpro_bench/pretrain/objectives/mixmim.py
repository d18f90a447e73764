"""MixMIM: pretraining without labels, on images mixed with one another and reconstructed both (arXiv:2205.13137).

A rival of mixing with labels that mixes, too. Of every pair of images the encoder sees one mix, in which no token sees
the other image; the decoder reconstructs both, each from what the mix shows of it.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from mmengine.model import BaseModel
from timm.layers import trunc_normal_
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from mixpro_bench.backbones.mixmim import MixMIM
from mixpro_bench.backbones.pieces import initialise, sincos_position
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.policy import Place
from mixpro_bench.registry import MODELS
from mixpro_bench.rng import rng


def draw_mask(generator: np.random.Generator, size: tuple[int, int], ratio: float) -> Tensor:
    """Draw which cells of a mix show the other image.

    Args:
        generator: Where the draws come from.
        size: Rows and columns.
        ratio: Share of cells; their number is rounded down.

    Returns:
        bool, on the CPU, shape (rows, columns).
    """
    cells = size[0] * size[1]
    mask = np.arange(cells) < int(cells * ratio)
    return torch.from_numpy(generator.permutation(mask).reshape(size))


def pixels_of(images: Tensor, patch: int) -> Tensor:
    """Return the pixels of every patch, each patch with mean 0 and variance 1 (MAE, arXiv:2111.06377, section 4.1).

    Args:
        images: Shape (B, 3, H, W).
        patch: Pixels per side, a divisor of H and W.

    Returns:
        float32, in the order row, column, channel, shape (B, H / patch * W / patch, patch * patch * 3).
    """
    b, c, h, w = images.shape
    cut = images.float().reshape(b, c, h // patch, patch, w // patch, patch)
    pixels = cut.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, patch * patch * c)
    variance, mean = torch.var_mean(pixels, dim=-1, keepdim=True)
    return (pixels - mean) / (variance + 1e-6).sqrt()


def patch_losses(predicted: Tensor, images: Tensor, patch: int) -> Tensor:
    """Return the mean squared error of every patch, float32, (B, N); see `pixels_of` for the arguments."""
    return (predicted.float() - pixels_of(images, patch)).square().mean(dim=-1)


class Decoder(nn.Module):
    """Transformer blocks that turn what a mix shows of both its images into their pixels.

    Args:
        dim: Channels of the encoder.
        patch: Pixels per side of a cell.
        width: Channels of the blocks.
        depth: Number of blocks.
        heads: Number of heads.
    """

    def __init__(self, dim: int, patch: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.embed = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.ModuleList(Block(width, heads, qkv_bias=True, norm_layer=norm) for _ in range(depth))
        self.norm = norm(width)
        self.pixels = nn.Linear(width, patch * patch * 3)
        trunc_normal_(self.mask_token, std=0.02)
        initialise(self)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Reconstruct every image where its mix does not show it.

        Args:
            x: What the encoder makes of mix b, in which image B - 1 - b takes the place of image b where ``mask`` is
                true; shape (B, C, h, w).
            mask: bool, shape (h, w).

        Returns:
            Pixels of every cell of image b, from mix b where ``mask`` is true and from mix B - 1 - b elsewhere, shape
            (B, h * w, patch * patch * 3).
        """
        z = self.embed(x.flatten(2).mT)
        other, token = mask.flatten()[None, :, None], self.mask_token.to(z.dtype)
        z = torch.cat((torch.where(other, token, z), torch.where(other, z, token)))
        z = z + sincos_position(z.shape[2], (x.shape[2], x.shape[3]), z.device).flatten(2).mT
        for block in self.blocks:
            z = block(z)
        own, of_other = self.pixels(self.norm(z)).chunk(2)
        return torch.where(other, own, of_other.flip(0))


@MODELS.register_module()
class MixMIMPretrainer(BaseModel):
    """Pretrains a `MixMIM` encoder; the decoder, 512 wide and 8 blocks deep as published, is left behind afterwards.

    ``PlaceHook`` says which step it is: the mask, one for the batch of a process, is a function of it. In validation it
    is always the same.

    Args:
        backbone: Config of a `MixMIM` encoder; it gets no classifier.
        width: Channels of the decoder.
        depth: Its blocks.
        heads: Its heads.
        ratio: Share of cells of the last stage in which a mix shows the other image.
        data_preprocessor: mmengine's; moves a batch to the device.
        init_cfg: mmengine's.

    Raises:
        UserError: If the backbone is no `MixMIM`, or the ratio leaves nothing to see or nothing to reconstruct.
    """

    def __init__(
        self,
        backbone: dict,
        width: int = 512,
        depth: int = 8,
        heads: int = 16,
        ratio: float = 0.5,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        encoder = MODELS.build({**backbone, "num_classes": 0, "dense": False})
        if not isinstance(encoder, MixMIM):
            raise UserError(
                f"model.backbone is a {type(encoder).__name__}: MixMIMPretrainer mixes within the windows of a "
                "mixpro_bench.MixMIM alone"
            )
        if not 0 < ratio < 1:
            raise UserError(f"model.ratio={ratio} is not between 0 and 1")
        self.backbone = encoder
        self.patch = encoder.stage_strides[-1]
        self.ratio = ratio
        self.decoder = Decoder(encoder.embed_dim, self.patch, width, depth, heads)
        self.place: Place | None = None

    def forward(self, inputs: Tensor, label: Tensor | None = None, mode: str = "tensor", **aux):
        """Run the model as mmengine calls it.

        Args:
            inputs: Normalised images, shape (B, 3, H, W), sides multiples of the last stage's stride.
            label: Not looked at.
            mode: ``"tensor"`` for the reconstruction, see `Decoder.forward`; ``"loss"`` for the loss of a training
                step; ``"predict"`` for one dict per image with its mean squared error, ``reconstruction``.
            **aux: Not looked at.

        Raises:
            UserError: If the images' size does not fit, or no hook has said where the run is.
        """
        if mode not in ("tensor", "loss", "predict"):
            raise ValueError(f"mode={mode!r} is none of 'tensor', 'loss', 'predict'")
        predicted = self.reconstruct(inputs, self.draw(inputs, training=mode == "loss"))
        if mode == "tensor":
            return predicted
        errors = patch_losses(predicted, inputs, self.patch)
        if mode == "loss":
            return {"loss_reconstruction": errors.mean()}
        return [dict(reconstruction=error) for error in errors.mean(dim=1)]

    def draw(self, images: Tensor, training: bool) -> Tensor:
        """Return the mask for a batch, on its device; see `draw_mask`."""
        h, w = images.shape[2:]
        if h % self.patch or w % self.patch:
            raise UserError(
                f"MixMIMPretrainer reconstructs cells of {self.patch} px, which do not divide images of {h} x {w}: set "
                "train_dataloader.dataset.transform.input_size and val_dataloader's to a multiple"
            )
        size = (h // self.patch, w // self.patch)
        if not training:
            return draw_mask(rng(0, "mixmim-val", 0), size, self.ratio).to(images.device, non_blocking=True)
        if self.place is None:
            raise UserError(
                "MixMIMPretrainer needs custom_hooks=[dict(type='mixpro_bench.PlaceHook')] to know its step"
            )
        generator = rng(self.place.seed, "mixmim", self.place.step, self.place.rank)
        return draw_mask(generator, size, self.ratio).to(images.device, non_blocking=True)

    def reconstruct(self, images: Tensor, mask: Tensor) -> Tensor:
        """Mix the batch with its reverse, encode, and decode; see `Decoder.forward`."""
        maps, _ = self.backbone.trunk(images, mask)
        encoded = self.backbone.norm(maps[-1].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.decoder(encoded, mask)
