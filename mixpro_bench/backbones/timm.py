"""One wrapper for every backbone of timm, the same in pretraining, detection and segmentation."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence

import timm
import torch
from timm.layers import PatchEmbed
from timm.models import TNT as TimmTNT
from timm.models import Cait, PyramidVisionTransformerV2, Sequencer2d, SwinTransformer, VisionTransformer, Xcit
from timm.models._manipulate import group_with_matcher
from torch import Tensor, nn

from mixpro_bench.backbones.cait import CaiT
from mixpro_bench.backbones.contract import Backbone, Need, Output, Share
from mixpro_bench.backbones.family import Family
from mixpro_bench.backbones.pvt import PVTv2
from mixpro_bench.backbones.sequencer import Sequencer
from mixpro_bench.backbones.swin import Swin
from mixpro_bench.backbones.tnt import TNT
from mixpro_bench.backbones.vit import ViT
from mixpro_bench.backbones.xcit import XCiT
from mixpro_bench.errors import UserError
from mixpro_bench.registry import MODELS

# timm class -> the family that knows how to run it and read from it.
FAMILIES: dict[type[nn.Module], type[Family]] = {
    VisionTransformer: ViT,
    Cait: CaiT,
    Xcit: XCiT,
    SwinTransformer: Swin,
    PyramidVisionTransformerV2: PVTv2,
    TimmTNT: TNT,
    Sequencer2d: Sequencer,
}


@functools.lru_cache
def family_of(name: str) -> type[Family]:
    """Return the family of a timm model name, found by building the model without memory.

    Raises:
        UserError: If timm does not know the name, or this package does not know the model's class.
    """
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        near = f"; near it: {', '.join(close)}" if close else ""
        raise UserError(f"model.backbone.name={name!r} is no timm model{near}")
    with torch.device("meta"):
        model = timm.create_model(name)
    for cls, family in FAMILIES.items():
        if isinstance(model, cls):
            return family
    known = ", ".join(cls.__name__ for cls in FAMILIES)
    raise UserError(f"model.backbone.name={name!r} is a {type(model).__name__}; supported are {known}")


@MODELS.register_module()
class TimmBackbone(Backbone):
    """A timm model behind the backbone contract.

    The parameters live under ``model.``, with timm's own names, in every use. With ``dense=True`` those that no feature
    map depends on (class attention, for instance) stay, so that a checkpoint fits whole, but are not trained.

    Args:
        name: timm model name, such as ``deit_tiny_patch16_224``.
        num_classes: Size of the classifier; ignored with ``dense=True``.
        dense: Return feature maps from ``forward``, without a classifier.
        out_indices: Which blocks (plain models) or stages (hierarchical ones) give the feature maps; the default is
            four, evenly spread.
        grad_checkpointing: Recompute activations in the backward pass to save memory.
        init_cfg: Usually ``dict(type='mixpro_bench.Handover', checkpoint=...)``.
        **timm_kwargs: Passed to ``timm.create_model`` (``img_size``, ``patch_size``, ``drop_path_rate``, ...).

    Raises:
        UserError: If the model or an argument is unknown, or the image size is no multiple of the patch size.
    """

    def __init__(
        self,
        name: str,
        *,
        num_classes: int = 1000,
        dense: bool = False,
        out_indices: Sequence[int] | None = None,
        grad_checkpointing: bool = False,
        init_cfg: dict | None = None,
        **timm_kwargs,
    ) -> None:
        super().__init__(init_cfg)
        family = family_of(name)
        self.name = name
        self.dense = dense
        self.num_classes = 0 if dense else num_classes
        _check_sizes(name, timm_kwargs)
        if not family.fixed_size:
            timm_kwargs.pop("img_size", None)
        try:
            self.model = timm.create_model(
                name, num_classes=self.num_classes, **{**family.arguments(dense), **timm_kwargs}
            )
        except TypeError as error:
            raise UserError(f"model.backbone: timm's {name} refuses an argument: {error}") from error
        # A plain attribute in a tuple: the family refers to the model, which must not be registered twice.
        self._family = (family(self.model, dense),)
        self.family.grad_checkpointing = grad_checkpointing
        self.patch_size = self.family.patch_size
        self.embed_dim = self.family.embed_dim
        self.importance_kinds = self.family.importance_kinds
        self.gives_share = self.family.gives_share
        self.out_indices, self.out_channels, self.out_strides = self.family.maps(out_indices)
        self._layer_ids = _layer_ids(self.model)
        self.num_layers = 1 + max(self._layer_ids.values())
        if dense:
            for parameter_name, parameter in self.model.named_parameters():
                if parameter_name.split(".")[0] in self.family.readout:
                    parameter.requires_grad_(False)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width the classifier was built for, None if it takes any."""
        return getattr(getattr(self.model, "patch_embed", None), "img_size", None)

    @property
    def family(self) -> Family:
        """What knows how to run this kind of model."""
        return self._family[0]

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        self.check(need)
        self._check_images(x)
        return self.family.classify(x, need, share)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return feature maps in NCHW for images of any size from one patch on."""
        self._check_images(x)
        return self.family.features(x, self.out_indices)

    def layer_id(self, name: str) -> int:
        """Return the depth of a parameter named as in ``named_parameters`` of this module."""
        return self._layer_ids[name.removeprefix("model.")]

    def _check_images(self, x: Tensor) -> None:
        h, w = x.shape[-2:]
        if min(h, w) < self.patch_size:
            raise UserError(f"backbone {self.name} takes images from {self.patch_size} px a side on, not {h} x {w}")
        embed = getattr(self.model, "patch_embed", None)
        if not isinstance(embed, PatchEmbed):
            return
        # What timm asserts, as a sentence.
        if embed.strict_img_size and embed.img_size is not None and (h, w) != tuple(embed.img_size):
            told = " x ".join(map(str, embed.img_size))
            raise UserError(
                f"backbone {self.name} classifies images of {told} px, not {h} x {w}: set model.backbone.img_size"
            )
        rows, columns = embed.patch_size
        if not embed.dynamic_img_pad and (h % rows or w % columns):
            raise UserError(
                f"backbone {self.name} classifies images of whole patches of {rows} x {columns} px, not {h} x {w}"
            )


def _layer_ids(model: nn.Module) -> dict[str, int]:
    # A name that no rule matches lands where the classifier does: depths are the same with and without one.
    names = [(name, None) for name, _ in model.named_parameters()] + [("the readout", None)]
    return group_with_matcher(names, model.group_matcher(coarse=False), reverse=True)


def _check_sizes(name: str, kwargs: dict) -> None:
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    img_size = kwargs.get("img_size") or (config.input_size[-1] if config else None)
    patch = kwargs.get("patch_size")
    if patch is None and "patch" in name:
        digits = name.split("patch")[1].split("_")[0]
        patch = int(digits) if digits.isdigit() else None
    for side in (img_size,) if isinstance(img_size, int) else tuple(img_size or ()):
        if patch and side % patch:
            raise UserError(
                f"model.backbone.img_size={img_size} is no multiple of the model patch {patch}; "
                f"the nearest sizes are {side // patch * patch} and {(side // patch + 1) * patch}"
            )
