"""From a pretraining config and a checkpoint to what is measured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixpro_bench.backbones.contract import Backbone
from mixpro_bench.datasets.classification import ImageFolder
from mixpro_bench.datasets.settings import inner_dataset
from mixpro_bench.errors import UserError
from mixpro_bench.robustness.subject import Subject, Upstream


def load_subject(
    config: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str],
    *,
    options: dict[str, Any] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    work_dir: str | os.PathLike[str] | None = None,
) -> Subject:
    """Build the classifier and the validation pictures of a pretraining config, and load a checkpoint into it.

    Args:
        config: A pretraining config.
        checkpoint: Weights, ours or of a layout that the Handover reads.
        options: Changes of the config.
        device: ``"cuda"`` where there is one by default.
        batch_size: Images per pass; the config's by default.
        workers: Processes that read pictures; the config's by default.
        limit: Measure on this many pictures only.
        seed: Of everything that is drawn.
        work_dir: Where parts may keep what they can use again.

    Raises:
        UserError: If config, data or checkpoint do not fit.
    """
    from mixpro_bench import compat
    from mixpro_bench.config import load_config
    from mixpro_bench.datasets.fingerprint import check_data, fingerprint_config
    from mixpro_bench.registry import DATASETS, MODELS

    compat.install()
    cfg = load_config(config, options)
    loader = cfg.get("val_dataloader") or {}
    told = inner_dataset(loader.get("dataset"))
    if (cfg.get("bench") or {}).get("task", "pretrain") != "pretrain" or told is None:
        raise UserError(f"{config} is no pretraining config with a val_dataloader: robustness starts from one")
    check_data({"val_dataloader": cfg.val_dataloader})
    dataset = DATASETS.build(dict(told))
    if not isinstance(dataset, ImageFolder):
        raise UserError(f"val_dataloader.dataset is {type(dataset).__name__}: mixpro_bench.ImageFolder is needed")
    backbone = MODELS.build({**cfg.model.backbone, "init_cfg": None})
    upstream = load_classifier(backbone, checkpoint)
    if backbone.num_classes and backbone.num_classes != len(dataset.metainfo["classes"]):
        raise UserError(
            f"{checkpoint} tells {backbone.num_classes} classes apart, {dataset.archive.path} has "
            f"{len(dataset.metainfo['classes'])}: give the config it was pretrained with"
        )
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Subject(
        backbone,
        dataset,
        chosen,
        upstream,
        batch_size=batch_size or int(loader.get("batch_size", 64)),
        workers=int(loader.get("num_workers", 0)) if workers is None else workers,
        limit=limit,
        seed=seed,
        fingerprint=fingerprint_config({"val_dataloader": cfg.val_dataloader}),
        train=_folder_settings((cfg.get("train_dataloader") or {}).get("dataset")),
        work_dir=Path(work_dir) if work_dir is not None else None,
    )


def _folder_settings(told: Any) -> dict[str, Any] | None:
    told = inner_dataset(told)
    return dict(told) if told is not None and str(told.get("type", "")).rsplit(".", 1)[-1] == "ImageFolder" else None


def load_classifier(backbone: Backbone, checkpoint: str | os.PathLike[str]) -> Upstream:
    """Load a checkpoint into a backbone with its classifier; without one in the file, the backbone loses its own.

    Raises:
        UserError: If a weight of the backbone is missing or of another shape.
    """
    from mixpro_bench.compat.checkpoint import load_checkpoint
    from mixpro_bench.files import sha256_of
    from mixpro_bench.transfer.matching import left_behind, match, select_weights
    from mixpro_bench.transfer.origin import upstream_of

    content = load_checkpoint(checkpoint)
    tensors, kind = select_weights(content, "auto")
    found = match(tensors, backbone)
    if found.missing:
        raise UserError(
            f"{checkpoint} does not fit the backbone of this config: it lacks {found.missing[0]} and "
            f"{len(found.missing) - 1} more"
        )
    head = _head_of(tensors, {n: v for n, v in backbone.state_dict().items() if left_behind(n)})
    backbone.load_state_dict({**backbone.state_dict(), **found.state, **(head or {})})
    if head is None:
        backbone.num_classes = 0
    return Upstream(Path(checkpoint), sha256_of(checkpoint), upstream_of(content), kind)


def _head_of(tensors: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Return the classifier's tensors by their names in the backbone, None if they are missing or of other classes."""
    from mixpro_bench.transfer.matching import PREFIXES

    for prefix in PREFIXES:
        for inner in ("", "model."):
            names = {name: prefix + name.removeprefix(inner) for name in wanted}
            if all(old in tensors and tensors[old].shape == wanted[new].shape for new, old in names.items()):
                return {new: tensors[old] for new, old in names.items()}
    return None
