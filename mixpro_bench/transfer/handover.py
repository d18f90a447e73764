"""The only door from pretraining to transfer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mmengine.logging import MessageHub, print_log
from mmengine.model import update_init_info
from torch import Tensor, nn

from mixpro_bench.compat.checkpoint import load_checkpoint, sha256_file
from mixpro_bench.errors import UserError
from mixpro_bench.registry import WEIGHT_INITIALIZERS
from mixpro_bench.transfer.audit import HUB_KEY, LoadAudit
from mixpro_bench.transfer.matching import match, select_weights
from mixpro_bench.transfer.origin import Weights, choose, upstream_of


@WEIGHT_INITIALIZERS.register_module()
class Handover:
    """Fill a backbone with pretrained weights, or refuse to start.

    Usable wherever mmengine takes an ``init_cfg``, also by mmdet's and mmseg's own tools:
    ``init_cfg=dict(type='mixpro_bench.Handover', checkpoint='work_dirs/.../iter_1000.pth')``.

    Args:
        checkpoint: A checkpoint of a pretraining run, or a timm model's weights (``.pth``, ``.safetensors``);
            None stands for "to be given on the command line".
        weights: ``"raw"``, ``"ema"``, or ``"auto"`` for what the pretraining run asks for, and for what each released
            code reports (see `mixpro_bench.transfer.origin`).
        min_share: Least share of the pretrained backbone's tensors that must match, 0 to 1.
        resize_patch: Resample the patch kernel where the patch sizes differ (14 to 16, say), instead of refusing.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike | None = None,
        weights: Weights = "auto",
        min_share: float = 1.0,
        resize_patch: bool = False,
    ) -> None:
        self.checkpoint = checkpoint
        self.weights = weights
        self.min_share = min_share
        self.resize_patch = resize_patch

    def __call__(self, module: nn.Module) -> None:
        """Load, record the audit in the message hub and in ``module.load_audit``.

        Raises:
            UserError: If there is no checkpoint, it cannot be read safely, or too little of it matches.
        """
        loaded = read(self.checkpoint, module, self.weights, self.min_share, self.resize_patch)
        module.load_state_dict(loaded.state, strict=False)
        module.load_audit = loaded.audit
        for child in module.children():
            # mmengine goes on to initialise the children, and timm's ViT would then begin from scratch.
            child.is_init = True
        MessageHub.get_current_instance().update_info(HUB_KEY, loaded.audit.to_json())
        print_log(loaded.audit.line(), logger="current")
        if hasattr(module, "_params_init_info"):
            update_init_info(module, init_info=f"Handover from {self.checkpoint}")


@dataclass(frozen=True)
class Loaded:
    """Weights ready for a backbone, and their audit."""

    state: dict[str, Tensor]
    audit: LoadAudit


def read(
    checkpoint: str | os.PathLike | None,
    backbone: nn.Module,
    weights: Weights = "auto",
    min_share: float = 1.0,
    resize_patch: bool = False,
) -> Loaded:
    """Read a checkpoint for a backbone without changing the backbone; see `Handover` for arguments and errors."""
    if checkpoint is None:
        raise UserError(
            "model.backbone.init_cfg.checkpoint is not set: give the pretraining checkpoint, as in "
            "`mixpro-bench transfer CONFIG CHECKPOINT`, or say --from-scratch"
        )
    path = Path(checkpoint).expanduser()
    content = load_checkpoint(path)
    try:
        tensors, kind = select_weights(content, weights)
        found = match(tensors, backbone, resize_patch=resize_patch)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    audit = LoadAudit(
        checkpoint=str(path.resolve()),
        sha256=sha256_file(path),
        weights=kind,
        weights_because=choose(content, weights)[1],
        matched=len(found.state),
        total=found.total,
        matched_elements=found.matched_elements,
        total_elements=found.total_elements,
        missing=found.missing,
        unexpected=found.unexpected,
        dropped=found.dropped,
        resized=found.resized,
        upstream=upstream_of(content),
    )
    if audit.matched == 0 or audit.share < min_share:
        raise UserError(_refusal(audit, min_share))
    return Loaded(found.state, audit)


def _refusal(audit: LoadAudit, min_share: float) -> str:
    parts = [
        f"{title} {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for title, names in (("missing:", audit.missing), ("unexpected:", audit.unexpected))
        if names
    ]
    return (
        f"{audit.checkpoint} matches {audit.matched} of {audit.total} tensors of the pretrained backbone "
        f"({100 * audit.share:.1f} %, at least {100 * min_share:g} % are agreed; {'; '.join(parts)}); "
        "give a checkpoint of the same backbone, or lower model.backbone.init_cfg.min_share knowingly"
    )
