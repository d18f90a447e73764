"""A teacher: any timm classifier that scores every class at every place of an image.

Source of the dense scores: TokenLabeling (arXiv 2104.10858), whose classifier is applied to the final features at each
place before they are pooled.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixpro_bench.errors import UserError

# Where the pretrained classifier lies in this package's own checkpoints.
OWN_PREFIX = "backbone.model."
OTHER_PREFIXES = ("module.", "model.", "_orig_mod.")


def dense_logits(model: nn.Module, images: Tensor) -> Tensor:
    """Apply a timm model's head to its final features at each place, as if the image were nothing but that place.

    Args:
        model: Any timm model whose features are a grid: tokens (B, N, C), or maps in NCHW or NHWC.
        images: Shape (B, 3, H, W).

    Returns:
        Shape (B, K, h, w).

    Raises:
        UserError: If the features are no grid.
    """
    features = model.forward_features(images)
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        raise UserError(f"{type(model).__name__} gives no grid of features: take a plain ViT or CNN as the teacher")
    if features.ndim == 4:
        nchw = features.shape[1] == model.num_features or features.shape[-1] != model.num_features
        places = features.permute(0, 2, 3, 1) if nchw else features
        b, h, w, c = places.shape
        single = places.reshape(-1, c, 1, 1) if nchw else places.reshape(-1, 1, 1, c)
    else:
        b, tokens, c = features.shape
        h, w = _grid(model, images, tokens)
        prefix = tokens - h * w
        # A head that reads the class token and one that pools patch tokens both find the place's own token.
        single = features[:, prefix:].reshape(-1, 1, c).expand(-1, prefix + 1, -1)
    logits = model.forward_head(single)
    return logits.reshape(b, h, w, -1).permute(0, 3, 1, 2)


def _grid(model: nn.Module, images: Tensor, tokens: int) -> tuple[int, int]:
    """Return rows and columns of a sequence of patch tokens, which may begin with a few tokens of another kind."""
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    sides = [] if patch is None else [tuple(s // p for s, p in zip(images.shape[-2:], _pair(patch), strict=True))]
    sides.append((math.isqrt(tokens), math.isqrt(tokens)))
    known = getattr(model, "num_prefix_tokens", None)
    for h, w in sides:
        rest = tokens - h * w
        if rest == known or (known is None and 0 <= rest <= 2):
            return h, w
    raise UserError(f"{type(model).__name__} gives {tokens} tokens that are no grid: take a plain ViT or CNN")


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


class Teacher:
    """A frozen timm classifier.

    No part of the model that it teaches: it is in no checkpoint, no optimizer and no averaged copy of the weights.

    Args:
        name: timm model name.
        checkpoint: A local file: timm's, or one of this package's pretraining runs. None fetches timm's weights.
        num_classes: Classes of the teacher; None reads them from the checkpoint.
        classes: Which of the teacher's classes are those of the data, in the data's order; None takes all.
        **timm_kwargs: Passed to ``timm.create_model`` (``img_size``, ``patch_size``, ...).

    Attributes:
        mean: What the teacher's images are normalised with, per channel.
        std: Likewise.
        size: Side of the images that the teacher was made for.

    Raises:
        UserError: If the model is unknown, the checkpoint does not fit, or a class index is out of range.
    """

    def __init__(
        self,
        name: str,
        checkpoint: str | None = None,
        num_classes: int | None = None,
        classes: list[int] | tuple[int, ...] | None = None,
        **timm_kwargs: Any,
    ) -> None:
        import timm
        from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, resolve_data_config

        if not timm.is_model(name):
            raise UserError(f"the teacher {name!r} is no timm model")
        self.name, self.checkpoint = name, checkpoint
        state, own = read_weights(checkpoint) if checkpoint is not None else (None, False)
        if state is not None and num_classes is None:
            num_classes = _classes_in(name, state, checkpoint)
        try:
            model = timm.create_model(
                name, pretrained=state is None, **_without_none(num_classes=num_classes), **timm_kwargs
            )
        except TypeError as error:
            raise UserError(f"timm's {name} refuses an argument of the teacher: {error}") from error
        except (RuntimeError, OSError) as error:
            raise UserError(
                f"the weights of the teacher {name} cannot be had ({str(error).splitlines()[0]}): "
                "name a local checkpoint"
            ) from error
        if state is not None:
            _load(model, state, name, checkpoint)
        self.model = model.eval().requires_grad_(False)
        config = resolve_data_config({}, model=model)
        # This package trains on images normalised with ImageNet's numbers, whatever timm's config of the model says.
        self.mean = IMAGENET_DEFAULT_MEAN if own else config["mean"]
        self.std = IMAGENET_DEFAULT_STD if own else config["std"]
        self.size = _pair(timm_kwargs.get("img_size", config["input_size"][-2:]))
        self.num_classes = int(model.num_classes)
        self.classes = None if classes is None else check_classes(classes, self.num_classes)
        self._index = None if self.classes is None else torch.tensor(self.classes)

    def __deepcopy__(self, memo: dict) -> Teacher:
        """Share the network: an averaged copy of the student needs no second teacher."""
        return self

    def sha256(self) -> str:
        """Return a hash of the weights, the same whatever file they came from."""
        digest = hashlib.sha256()
        for key, value in sorted(self.model.state_dict().items()):
            content = value.detach().cpu().contiguous()
            digest.update(f"{key} {content.dtype} {tuple(content.shape)}\n".encode())
            digest.update(content.reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    @torch.no_grad()
    def scores(self, images: Tensor) -> Tensor:
        """Return the probability of each of the data's classes at each place.

        Args:
            images: Normalised with the teacher's ``mean`` and ``std``, shape (B, 3, H, W).

        Returns:
            float32, sums to one over classes, shape (B, K, h, w).
        """
        self.model.to(images.device)
        logits = dense_logits(self.model, images).float()
        if self._index is not None:
            self._index = self._index.to(logits.device)  # copied once, not in every step
            logits = logits[:, self._index]
        return logits.softmax(dim=1)

    @torch.no_grad()
    def own_class(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the map of each image's own class.

        Args:
            images: Normalised with ImageNet's numbers, as the student gets them, shape (B, 3, H, W).
            labels: Class indices, shape (B,).

        Returns:
            float32, shape (B, h, w).
        """
        from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

        here = (tuple(self.mean), tuple(self.std))
        if here != (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD):
            scale = [s / t for s, t in zip(IMAGENET_DEFAULT_STD, self.std, strict=True)]
            shift = [(m - n) / t for m, n, t in zip(IMAGENET_DEFAULT_MEAN, self.mean, self.std, strict=True)]
            images = torch.stack([images[:, c] * scale[c] + shift[c] for c in range(3)], dim=1)
        if tuple(images.shape[-2:]) != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True)
        scores = self.scores(images)
        index = labels[:, None, None, None].expand(-1, 1, *scores.shape[2:])
        return scores.gather(1, index)[:, 0]


def teachers_of(model: nn.Module) -> dict[str, str]:
    """Return the hash of each teacher that a model learns from, by its name."""
    held = (getattr(module, "teacher", None) for module in model.modules())
    return {teacher.name: teacher.sha256() for teacher in held if isinstance(teacher, Teacher)}


def check_classes(classes: list[int] | tuple[int, ...], num_classes: int) -> tuple[int, ...]:
    """Return the class indices, or refuse one that the teacher does not have.

    Raises:
        UserError: Naming the index and its place.
    """
    for place, index in enumerate(classes):
        if not 0 <= index < num_classes:
            raise UserError(
                f"class index {index} (number {place} of the teacher's classes) lies outside the teacher's "
                f"{num_classes} classes: correct the list"
            )
    return tuple(int(index) for index in classes)


def read_class_indices(path: str) -> list[int]:
    """Read the teacher's class index of each class of the data, one a line.

    Raises:
        UserError: The file is missing, or a line is no whole number.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the class indices '{path}' ({error}): correct the path") from error
    numbers = []
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if not line.strip().isdigit():
            raise UserError(
                f"line {place} of '{path}', {line.strip()!r}, is no class index: give one whole number a line"
            )
        numbers.append(int(line))
    return numbers


def read_weights(checkpoint: str) -> tuple[dict[str, Tensor], bool]:
    """Return the weights in a checkpoint under timm's names, and whether it is one of this package's.

    Raises:
        UserError: If the file cannot be read or holds no weights.
    """
    from mixpro_bench.compat.checkpoint import load_checkpoint

    loaded = load_checkpoint(checkpoint)
    state: Any = loaded
    for key in ("state_dict", "model"):
        if isinstance(loaded.get(key), Mapping):
            state = loaded[key]
            break
    state = {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    if not state:
        raise UserError(f"{checkpoint} holds no weights of a teacher: name a timm checkpoint or a pretraining run's")
    inner = {key.removeprefix(OWN_PREFIX): value for key, value in state.items() if key.startswith(OWN_PREFIX)}
    if inner:
        return inner, True
    for prefix in OTHER_PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state, False


def _classes_in(name: str, state: Mapping[str, Tensor], checkpoint: str | None) -> int:
    """Read the number of classes off the classifier's weights in a checkpoint."""
    import timm

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    head = config.classifier if config is not None else None
    weight = state.get(f"{head if isinstance(head, str) else (head or ['head'])[0]}.weight")
    if weight is None:
        raise UserError(
            f"{Path(str(checkpoint)).name} has no classifier for the teacher {name}: name another checkpoint"
        )
    return int(weight.shape[0])


def _load(model: nn.Module, state: Mapping[str, Tensor], name: str, checkpoint: str | None) -> None:
    own = model.state_dict()
    odd = next((key for key in own if key not in state or state[key].shape != own[key].shape), None)
    odd = odd or next((key for key in state if key not in own), None)
    if odd is not None:
        held = tuple(state[odd].shape) if odd in state else "missing"
        wanted = tuple(own[odd].shape) if odd in own else "no such weight"
        raise UserError(
            f"{checkpoint} does not fit the teacher {name}: {odd} is {held} in the file and {wanted} in the model; "
            "give the model's arguments (img_size, patch_size, ...) or another checkpoint"
        )
    model.load_state_dict(state)


def _without_none(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
