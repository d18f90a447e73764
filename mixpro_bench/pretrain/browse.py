"""A look at what a config mixes: images, mask, importance and labels in one picture."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATA_SAMPLERS
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from mixpro_bench.backbones.contract import Need, Output
from mixpro_bench.compat.checkpoint import load_checkpoint
from mixpro_bench.compat.runner import deterministic, seeded_dataset
from mixpro_bench.errors import UserError
from mixpro_bench.files import write_bytes_atomic
from mixpro_bench.labeling.labeler import attention_lambda
from mixpro_bench.mixing.batch import MixedBatch
from mixpro_bench.mixing.policy import Branch, Place, share_for
from mixpro_bench.pretrain.classifier import MixClassifier
from mixpro_bench.pretrain.objectives.supervised import look_at_unmixed
from mixpro_bench.registry import MODELS

FORMATS = ("png", "pdf", "svg")
# So many steps are looked at for one that takes a policy's first branch.
SEARCH = 1000


@dataclass(frozen=True)
class Sheet:
    """What is drawn: one row per sample.

    Attributes:
        title: What is shown.
        a: Images, values in 0..1, shape (B, H, W, 3); so are ``b`` and ``mixed``.
        mask: Share of A per token, shape (B, h, w).
        importance: Weight of every token, shape (B, h, w), or None where the backbone gives none.
        names_a: Class of A of each sample; ``names_b`` that of B.
        labels: ``area``, ``attention`` (if there is importance and the image has places) and ``final``: weight of A
            in the label, each shape (B,).
    """

    title: str
    a: np.ndarray
    b: np.ndarray
    mixed: np.ndarray
    mask: np.ndarray
    importance: np.ndarray | None
    names_a: list[str]
    names_b: list[str]
    labels: dict[str, np.ndarray]


def browse(cfg: Config, samples: int = 6, step: int | None = None, checkpoint: str | None = None) -> Sheet:
    """Mix the first samples of a step of a pretraining config, and read and label them as its training would.

    The draws are those of a batch of ``samples`` images at that step; the model looks in evaluation mode.

    Args:
        cfg: A pretraining config.
        samples: Images, even.
        step: Training step; by default the first that takes the policy's first branch.
        checkpoint: Weights of the model; without them it is untrained.

    Raises:
        UserError: If the config is not one of pretraining, or data, step or checkpoint do not fit.
    """
    if str(cfg.get("model", {}).get("type", "")).rsplit(".", 1)[-1] != "MixClassifier":
        raise UserError("browse draws pretraining configs: model.type is not mixpro_bench.MixClassifier")
    if step is not None and step < 0:
        raise UserError(f"--step {step}: steps are counted from 0")
    seed = int(cfg.get("randomness", {}).get("seed") or 0)
    torch.manual_seed(seed)
    model: MixClassifier = MODELS.build(cfg.model).eval()
    if checkpoint is not None:
        load_weights(model, checkpoint)
    policy = model.policy
    policy.mix_group = None
    step = first_own_step(model, seed) if step is None else step
    dataset, batch = samples_of_step(cfg, seed, step, samples)
    place = Place(seed, step)
    branch = policy.choose(place)
    images, labels = batch.pop("inputs"), batch.pop("label")
    mixed, out = look(model, branch, place, images, labels, batch)
    classes = (getattr(dataset, "metainfo", None) or {}).get("classes")

    def names(indices: Tensor) -> list[str]:
        return [str(classes[i]) if classes else f"class {i}" for i in indices.tolist()]

    pixels = denormalised(torch.cat((images, images[mixed.partner], mixed.inputs)), dataset)
    a, b, c = pixels.permute(0, 2, 3, 1).numpy().reshape(3, samples, *images.shape[-2:], 3)
    importance = out.importance
    grid = (
        importance.shape[1:] if importance is not None else [s // model.backbone.patch_size for s in images.shape[-2:]]
    )
    weights = "untrained model" if checkpoint is None else Path(checkpoint).name
    method = cfg.get("bench", {}).get("preset") or "policy"
    title = f"{method}, step {step}: {type(branch.mixer).__name__} + {type(branch.labeler).__name__}, {weights}"
    return Sheet(
        title=title,
        a=a,
        b=b,
        mixed=c,
        mask=mixed.region.share(*grid).numpy(),
        importance=None if importance is None else importance.float().numpy(),
        names_a=names(mixed.labels_a),
        names_b=names(mixed.labels_b),
        labels=weights_of_a(branch, mixed, out),
    )


def samples_of_step(cfg: Config, seed: int, step: int, samples: int) -> tuple[Dataset, dict[str, Any]]:
    """Return the training data, and the first samples of a step's batch, augmented as in the run.

    Raises:
        UserError: If there are fewer samples than asked for.
    """
    loader = deterministic(cfg.train_dataloader.to_dict(), seed)
    dataset = seeded_dataset(cfg.train_dataloader.dataset, seed)
    size = int(loader.get("batch_size", 1))
    if len(dataset) < samples:
        raise UserError(f"--samples {samples}: the training data hold {len(dataset)}")
    sampler = DATA_SAMPLERS.build(dict(loader["sampler"], dataset=dataset))
    # An endless sampler goes on across epochs by itself.
    per_epoch = step + 1 if getattr(sampler, "infinite", False) else max(1, len(sampler) // size)
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(step // per_epoch)
    indices = list(islice(iter(sampler), step % per_epoch * size, step % per_epoch * size + samples))
    indices += list(islice(iter(sampler), samples - len(indices)))
    return dataset, default_collate([dataset[i] for i in indices])


def first_own_step(model: MixClassifier, seed: int) -> int:
    """Return the first step that takes the policy's first branch, the method's own."""
    policy = model.policy
    own = (step for step in range(SEARCH) if policy.choose(Place(seed, step)) is policy.branches[0])
    return next(own, 0)


@torch.no_grad()
def look(
    model: MixClassifier, branch: Branch, place: Place, images: Tensor, labels: Tensor, aux: Mapping[str, Tensor]
) -> tuple[MixedBatch, Output]:
    """Mix a batch and run the model on it, with importance wherever the backbone has it."""
    backbone, labeler = model.backbone, branch.labeler
    unmixed = look_at_unmixed(backbone, branch, images, labels)
    aux = labeler.prepare(images, labels, aux)
    mixed = branch.mixer(images, labels, model.policy.generators(place, len(images)), unmixed, aux)
    need = labeler.need | Need(importance="auto") if backbone.importance_kinds else labeler.need
    out = backbone(mixed.inputs, need=need, share=share_for(backbone, mixed, need))
    return mixed, out.for_labels(mixed.labels_a, mixed.labels_b, mixed.region.share)


@torch.no_grad()
def weights_of_a(branch: Branch, mixed: MixedBatch, out: Output) -> dict[str, np.ndarray]:
    """Return the weight of A in the label of every sample: by area, by attention, and as it is trained on.

    The last is what the labeler reports for each sample alone; SMMix's labels are by area.
    """
    found = {"area": mixed.lam_area}
    if out.importance is not None and branch.mixer.local:
        found["attention"] = attention_lambda(out.importance, mixed)[0]
    found["final"] = mixed.lam_area
    if branch.labeler.needs_unmixed is None:
        plain = dataclasses.replace(out, cam=None, aux_losses={})
        stats = [branch.labeler(_row(mixed, i), _row(plain, i))[1] for i in range(len(mixed.inputs))]
        found["final"] = torch.stack([each.get("lam", each["lam_area"]) for each in stats])
    return {name: value.detach().float().numpy() for name, value in found.items()}


def _row(value: Any, i: int) -> Any:
    """Cut one sample out of a batch and all that belongs to it."""
    if isinstance(value, Tensor):
        return value[i : i + 1]
    if isinstance(value, Mapping):
        return {key: _row(item, i) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _row(getattr(value, field.name), i) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


def load_weights(model: MixClassifier, checkpoint: str) -> None:
    """Load a pretraining checkpoint; heads that only a labeler had may be missing.

    Raises:
        UserError: If the backbone's weights do not fit.
    """
    state = load_checkpoint(checkpoint)
    try:
        keys = model.load_state_dict(state.get("state_dict", state), strict=False)
    except RuntimeError as error:
        raise UserError(
            f"{checkpoint} does not fit the model of this config: {' '.join(str(error).split())[:200]}"
        ) from error
    missing = [key for key in keys.missing_keys if key.startswith("backbone.")]
    if missing:
        raise UserError(
            f"{checkpoint} does not fit the model of this config: it lacks {missing[0]} and {len(missing) - 1} more"
        )


def denormalised(images: Tensor, dataset: Any) -> Tensor:
    """Undo the normalisation of a data set's transform; where none is found, stretch every image to 0..1."""
    steps: Sequence[Any] = getattr(getattr(dataset, "transform", None), "transforms", ())
    for step in reversed(steps):
        if hasattr(step, "mean") and hasattr(step, "std"):
            mean, std = (torch.as_tensor(x).view(-1, 1, 1) for x in (step.mean, step.std))
            return (images * std + mean).clamp(0, 1)
    low, high = images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True)
    return (images - low) / (high - low).clamp(min=1e-6)


def save(sheet: Sheet, path: str | Path) -> Path:
    """Draw a sheet into a file, in one step.

    Args:
        sheet: What is drawn.
        path: A file that ends in ``.png``, ``.pdf`` or ``.svg``.

    Raises:
        UserError: If the file ends otherwise, or cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise UserError(f"--out {path}: the name must end in {', '.join('.' + name for name in FORMATS)}")
    stream = io.BytesIO()
    draw(sheet).savefig(stream, format=kind, dpi=110)
    try:
        return write_bytes_atomic(path, stream.getvalue())
    except OSError as error:
        raise UserError(f"--out {path} cannot be written: {error.strerror or error}") from error


def draw(sheet: Sheet) -> Any:
    """Return a sheet as a matplotlib figure: A, B, mixed, mask and importance, with labels under them."""
    from matplotlib.figure import Figure

    rows = len(sheet.a)
    heads = ("A", "B", "mixed", "mask (share of A)", "importance")
    figure = Figure(figsize=(11.5, 0.4 + 2.7 * rows), layout="constrained")
    figure.suptitle(sheet.title, fontsize=11)
    axes = figure.subplots(rows, len(heads), squeeze=False)
    for i, line in enumerate(axes):
        texts = [
            sheet.names_a[i],
            sheet.names_b[i],
            *(_label(sheet, name, i) for name in ("final", "area", "attention")),
        ]
        pictures = [sheet.a[i], sheet.b[i], sheet.mixed[i]]
        for axis, picture in zip(line, pictures, strict=False):
            axis.imshow(picture, interpolation="nearest")
        line[3].imshow(sheet.mask[i], vmin=0, vmax=1, cmap="gray")
        if sheet.importance is not None:
            line[4].imshow(sheet.importance[i], vmin=0, cmap="viridis")
        else:
            line[4].set_facecolor("0.9")
        for axis, head, text in zip(line, heads, texts, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_xlabel(text, fontsize=8)
            if i == 0:
                axis.set_title(head, fontsize=9)
    return figure


def _label(sheet: Sheet, name: str, i: int) -> str:
    if name not in sheet.labels:
        return f"{name}\nnone"
    lam = float(sheet.labels[name][i])
    return f"{name}\n{lam:.1%} {sheet.names_a[i]!r} + {1 - lam:.1%} {sheet.names_b[i]!r}"
