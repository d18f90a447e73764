"""Mixing in a classifier of somebody else's: its loss path is replaced, its forward pass is not touched.

The model is any mmengine ``BaseModel`` whose ``forward(..., mode='tensor')`` gives logits.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any, cast

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Backbone, Need, Output, Share
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.policy import MixPolicy, Place
from mixpro_bench.mixing.tokens import TokenMixer
from mixpro_bench.pretrain.attention_tap import find_attention, tap, tokens_of
from mixpro_bench.pretrain.objectives.supervised import supervised_losses
from mixpro_bench.pretrain.where import AUTO, IMAGES, LABELS, LOGITS, Where, describe, indices, walk


class ForeignClassifier:
    """Somebody else's classifier behind the part of the backbone contract that mixing needs.

    Args:
        model: The unwrapped model.
        policy: The mixing policy.
        where: Where things are in the model.

    Attributes:
        mixing: Whether training steps mix; otherwise the model's own loss is used.
        place: Where the run is.

    Raises:
        UserError: If a labeler needs what only backbones of this package give.
    """

    dense = False

    def __init__(self, model: nn.Module, policy: MixPolicy, where: Where) -> None:
        self.name = type(model).__name__
        if not isinstance(model, BaseModel):
            raise UserError(f"MixProHook works with mmengine's BaseModel; {self.name} is none")
        if getattr(model.data_preprocessor, "batch_augments", None) is not None:
            raise UserError(
                f"{self.name} mixes in its data preprocessor already: remove its batch_augments (train_cfg.augments)"
            )
        self.model, self.policy, self.where = model, policy, where
        self.mixing = True
        self.place: Place | None = None
        self.embed_dim = self.patch_size = 0
        self.importance_kinds: tuple[str, ...] = ()
        self.num_classes = 0
        self.prefix = 0
        self.attention: nn.Module | None = None
        self._original = model.forward
        self._signature = inspect.signature(self._original)
        self._images_name = ""
        for branch in policy.branches:
            self._refuse(branch.labeler)

    def _refuse(self, labeler: nn.Module) -> None:
        name = type(labeler).__name__
        needs = [need for need in (labeler.need, labeler.needs_unmixed) if need is not None]
        reason = None
        if any(need.share for need in needs):
            reason = "carries the share of A through every block"
        elif any(need.tokens for need in needs):
            reason = "trains a head of its own on the final tokens"
        elif labeler.needs_aux:
            reason = f"needs {', '.join(labeler.needs_aux)} beside images and labels"
        if reason:
            raise UserError(
                f"policy: {name} {reason}, which MixProHook cannot do in {self.name}; "
                "use model=dict(type='mixpro_bench.MixClassifier') for it, or another labeler"
            )

    # What the backbone contract asks for.

    def check(self, need: Need) -> None:
        """Refuse a need that cannot be met; see `Backbone.check`."""
        if need.importance is not None and need.importance not in (*self.importance_kinds, AUTO):
            raise UserError(
                f"policy: importance={need.importance!r} cannot be read from {self.name}, which gives "
                f"{', '.join(self.importance_kinds) or 'none'}"
            )

    # Before training.

    def prepare(self, batch: Any) -> None:
        """Find everything in a small batch, as the loader gives it, and fit the policy to the model.

        Raises:
            UserError: Naming the argument of the hook that what could not be found belongs to.
        """
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                data = self.model.data_preprocessor(batch, True)
                named = self.named(*((), data) if isinstance(data, Mapping) else (data, {}))
                images, labels = self._find_images(named), self.labels(named)
                self.num_classes = self.logits(named, images).shape[1]
                if self.where.num_classes not in (AUTO, self.num_classes):
                    raise UserError(
                        f"MixProHook num_classes={self.where.num_classes!r}: the logits of {self.name} have "
                        f"{self.num_classes} columns"
                    )
                if int(labels.max()) >= self.num_classes or int(labels.min()) < 0:
                    raise UserError(
                        f"MixProHook labels={self.where.labels!r}: found class {int(labels.max())}, but {self.name} "
                        f"has {self.num_classes} classes"
                    )
                self._find_patches(images)
                if self.needs_attention:
                    self._find_attention(named, images)
        finally:
            self.model.train(training)
        self.policy.setup(cast(Backbone, self), self.num_classes, (images.shape[-2], images.shape[-1]))

    @property
    def prepared(self) -> bool:
        """Whether everything has been found."""
        return self.num_classes > 0

    @property
    def needs_attention(self) -> bool:
        """Whether some branch asks for importance."""
        return bool(self._importances())

    def _importances(self) -> list[str]:
        needs = [
            n for b in self.policy.branches for n in (b.labeler.need, b.labeler.needs_unmixed, b.mixer.needs_unmixed)
        ]
        return [need.importance for need in needs if need is not None and need.importance is not None]

    def _find_images(self, named: Mapping[str, Any]) -> Tensor:
        wanted = self.where.images
        names = [name for name in (*IMAGES, *named) if name in named] if wanted == AUTO else [wanted]
        for name in names:
            value = named.get(name)
            if isinstance(value, Tensor) and value.ndim == 4 and value.is_floating_point():
                self._images_name = name
                return value
        raise UserError(
            f"MixProHook images={wanted!r}: found no float tensor (B, C, H, W) there; {self.name}.forward takes "
            f"{', '.join(named)}"
        )

    def _find_patches(self, images: Tensor) -> None:
        wanted = self.where.patch_size
        if wanted != AUTO:
            if not isinstance(wanted, int) or wanted < 1:
                raise UserError(f"MixProHook patch_size={wanted!r}: give the pixels per token side")
            self.patch_size = wanted
            return
        self.patch_size = 1
        for module in self.model.modules():
            if isinstance(module, nn.Conv2d) and module.in_channels == images.shape[1]:
                k, s = module.kernel_size, module.stride
                self.patch_size = k[0] if k == s and k[0] == k[1] else 1
                break
        tokens = [b.mixer for b in self.policy.branches if isinstance(b.mixer, TokenMixer) and b.mixer.patch is None]
        if self.patch_size == 1 and (tokens or self.needs_attention):
            raise UserError(
                f"MixProHook patch_size='auto': {self.name} does not begin with a convolution that cuts images into "
                "patches; give patch_size"
            )

    def _find_attention(self, named: Mapping[str, Any], images: Tensor) -> None:
        name, attn = find_attention(self.model, self.where.attention)
        with torch.autocast(images.device.type, enabled=False):
            batch, tokens = tokens_of(name, attn, lambda: self._run(named, images))
        h, w = self._grid(images)
        if batch != len(images) or tokens < h * w:
            raise UserError(
                f"MixProHook attention={name!r} sees {batch} x {tokens} tokens where {len(images)} images have "
                f"{h} x {w} patches each: importance needs global attention over all patches (or another patch_size)"
            )
        self.attention, self.prefix = attn, tokens - h * w
        own = self.where.importance
        if own == AUTO:
            own = "mean_attn" if self.prefix == 0 or _pools_patches(self.model) else "cls"
        if own not in ("cls", "mean_attn") or (own == "cls" and not self.prefix):
            raise UserError(
                f"MixProHook importance={own!r}: it is 'cls' (for models with a class token) or 'mean_attn'; "
                f"{self.name} has {self.prefix} tokens beside its patches"
            )
        other = [] if not self.prefix else [kind for kind in ("cls", "mean_attn") if kind != own]
        self.importance_kinds = (own, *other)

    def _grid(self, images: Tensor) -> tuple[int, int]:
        return images.shape[-2] // self.patch_size, images.shape[-1] // self.patch_size

    # While training.

    def replace(self) -> None:
        """Put mixing in the place of the model's loss."""

        @functools.wraps(self._original)
        def forward(*args: Any, **kwargs: Any) -> Any:
            named = self.named(args, kwargs)
            if named.get("mode") == "loss" and self.mixing and self.model.training:
                return self.loss(named)
            return self._original(*args, **kwargs)

        self.model.forward = forward

    def restore(self) -> None:
        """Give the model its own forward back."""
        self.model.__dict__.pop("forward", None)

    def loss(self, named: dict[str, Any]) -> dict[str, Tensor]:
        """Return losses, and statistics under ``mix/``, of one step."""
        if self.place is None:
            raise RuntimeError("MixProHook says where the run is before each step")
        branch = self.policy.choose(self.place)
        images, labels = named[self._images_name], self.labels(named)
        backbone = cast(Backbone, _Call(self, named))
        losses, stats = supervised_losses(backbone, self.policy, branch, self.place, images, labels)
        return {**losses, **{f"mix/{name}": value.detach() for name, value in stats.items()}}

    def named(self, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call of ``forward`` by name.

        Raises:
            UserError: If ``forward`` does not take them.
        """
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise UserError(f"{self.name}.forward does not take what its data preprocessor gives: {error}") from error
        bound.apply_defaults()
        named: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            kind = self._signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                named.update(value)
            elif kind is not inspect.Parameter.VAR_POSITIONAL:
                named[name] = value
        return named

    def labels(self, named: Mapping[str, Any]) -> Tensor:
        """Return the class indices, shape (B,).

        Raises:
            UserError: If there are none.
        """
        images = named[self._images_name]
        for path in LABELS if self.where.labels == AUTO else (self.where.labels,):
            found = indices(walk(named, path.split(".")), len(images))
            if found is not None:
                return found.to(images.device)
        raise UserError(
            f"MixProHook labels={self.where.labels!r}: found no class index per image there; name their place in the "
            f"arguments of {self.name}.forward ({', '.join(named)}), such as labels='data_samples.gt_label'"
        )

    def logits(self, named: Mapping[str, Any], images: Tensor) -> Tensor:
        """Run the model on images and return its logits, shape (B, K).

        Raises:
            UserError: If they cannot be told.
        """
        out, wanted = self._run(named, images), self.where.logits
        if wanted != AUTO:
            try:
                found = out[wanted] if isinstance(wanted, int) or isinstance(out, Mapping) else getattr(out, wanted)
            except (KeyError, IndexError, AttributeError, TypeError):
                found = None
        elif isinstance(out, Mapping):
            found = next((out[name] for name in LOGITS if name in out), None)
        else:
            found = out[0] if isinstance(out, (list, tuple)) and len(out) == 1 else out
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
            raise UserError(
                f"MixProHook logits={wanted!r}: {self.name}.forward(mode='tensor') gives no tensor (B, classes) there "
                f"but {describe(out)}; name the key or position of the logits"
            )
        return found

    def _run(self, named: Mapping[str, Any], images: Tensor) -> Any:
        return self._original(**{**named, self._images_name: images, "mode": "tensor"})

    def output(self, named: Mapping[str, Any], images: Tensor, need: Need) -> Output:
        """Run the model on images and return logits and, if wanted, importance."""
        if need.importance is None:
            return Output(self.logits(named, images))
        kind = self.importance_kinds[0] if need.importance == AUTO else need.importance
        with tap(self.attention, "cls" if kind == "cls" else "mean", self.prefix) as rows:
            logits = self.logits(named, images)
        row = rows[-1]
        return Output(logits, (row / row.sum(dim=1, keepdim=True)).view(-1, *self._grid(images)))


class _Call:
    """One training step's backbone: the classifier, with the other arguments of the call it stands in."""

    def __init__(self, classifier: ForeignClassifier, named: Mapping[str, Any]) -> None:
        self.classifier, self.named = classifier, named

    @property
    def training(self) -> bool:
        return self.classifier.model.training

    def eval(self) -> None:
        self.classifier.model.eval()

    def train(self, mode: bool = True) -> None:
        self.classifier.model.train(mode)

    def __call__(self, images: Tensor, *, need: Need | None = None, share: Share | None = None) -> Output:
        return self.classifier.output(self.named, images, need or Need())


def _pools_patches(model: nn.Module) -> bool:
    """Tell whether a model averages its patch tokens before the classifier, in timm's or MMPretrain's words."""
    return any(
        getattr(m, "global_pool", None) == "avg" or getattr(m, "out_type", None) == "avg_featmap"
        for m in model.modules()
    )
