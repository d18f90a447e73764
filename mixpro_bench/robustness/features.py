"""Frozen features: what a backbone's classifier would see of every picture, computed once and kept."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Backbone
from mixpro_bench.datasets.classification import ImageFolder
from mixpro_bench.errors import UserError
from mixpro_bench.files import write_bytes_atomic
from mixpro_bench.robustness.processes import everybody
from mixpro_bench.robustness.subject import Advance, Subject


@dataclass(frozen=True)
class Features:
    """Features of a split.

    Attributes:
        values: Float32, shape (N, C).
        labels: Class indices, shape (N,).
        classes: Names of the classes.
    """

    values: Tensor
    labels: Tensor
    classes: tuple[str, ...]


def without_classifier(backbone: Backbone) -> nn.Module:
    """Return a copy of a backbone whose logits are what its classifier was given, shape (B, C)."""
    bare = copy.deepcopy(backbone)
    inner = getattr(bare, "model", None)
    if inner is not None and hasattr(inner, "reset_classifier"):
        inner.reset_classifier(0)
    elif isinstance(getattr(bare, "head", None), nn.Module):
        bare.head = nn.Identity()
    else:
        raise UserError(f"backbone {type(backbone).__name__} has no classifier to take off: no features to probe")
    return bare.eval()


def features_of(subject: Subject, split: str, advance: Advance) -> Features:
    """Return the features of a split, from the file that holds them if they were computed before.

    Args:
        subject: Whose backbone looks.
        split: ``"train"`` for the training pictures, whole and as in validation; ``"val"`` for the subject's own.
        advance: Told about progress.

    Raises:
        UserError: If the config names no training pictures of the same classes.
    """
    chosen = subject if split == "val" else subject.on(subject.training())
    told = {
        "checkpoint": subject.upstream.sha256,
        "weights": subject.upstream.weights,
        "data": subject.fingerprint if split == "val" else subject.training_fingerprint(),
        "split": split,
        "pictures": str(len(chosen.indices)),
        "transform": repr(chosen.dataset.transform),
    }
    path = _place(subject, split, told)
    values = _read(path, told)
    # Computing takes all processes: one that does not see the file yet must not be left to it alone.
    if not everybody(values is not None) or values is None:
        bare = without_classifier(subject.backbone)
        values = chosen.collect(lambda images: bare(images).logits, advance=advance)
        _write(path, values, told)
    else:
        advance(len(chosen.indices), len(chosen.indices))
    return Features(values, chosen.labels, tuple(chosen.dataset.metainfo["classes"]))


def training_pictures(settings: dict, like: ImageFolder) -> ImageFolder:
    """Return training pictures under the transform of the validation pictures.

    Args:
        settings: The config's ``train_dataloader.dataset``, an `ImageFolder`.
        like: The validation pictures.

    Raises:
        UserError: If the classes differ.
    """
    from mixpro_bench.registry import DATASETS

    kept = {key: settings[key] for key in ("type", "root", "split", "classes", "cache") if key in settings}
    dataset = DATASETS.build({**kept, "transform": dict(type="light", input_size=1)})
    dataset.transform = like.transform
    if dataset.metainfo["classes"] != like.metainfo["classes"]:
        odd = sorted(set(dataset.metainfo["classes"]) ^ set(like.metainfo["classes"]))
        raise UserError(f"training and validation pictures differ in the classes {odd[:5]}: correct one of them")
    return dataset


def _place(subject: Subject, split: str, told: dict[str, str]) -> Path | None:
    if subject.work_dir is None:
        return None
    name = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
    return subject.work_dir / "features" / f"{split}-{name}.safetensors"


def _read(path: Path | None, told: dict[str, str]) -> Tensor | None:
    from safetensors import SafetensorError, safe_open

    if path is None or not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor("features") if file.metadata() == told else None
    except SafetensorError:
        return None  # cut short: computed again and replaced


def _write(path: Path | None, values: Tensor, told: dict[str, str]) -> None:
    from mmengine.dist import is_main_process
    from safetensors.torch import save

    if path is not None and is_main_process():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(path, save({"features": values.contiguous()}, told))


def check_filled(features: Features, least: int, what: str) -> None:
    """Refuse classes with fewer than ``least`` pictures.

    Raises:
        UserError: Naming the first such class.
    """
    count = torch.bincount(features.labels, minlength=len(features.classes))
    for name, number in zip(features.classes, count.tolist(), strict=True):
        if number < least:
            raise UserError(f"part {what} needs {least} training pictures of every class, class '{name}' has {number}")
