"""What a transfer settles before any data is read or any model is built."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mixpro_bench.compat.checkpoint import latest_checkpoint
from mixpro_bench.errors import UserError
from mixpro_bench.registry import MODELS
from mixpro_bench.transfer.audit import LoadAudit
from mixpro_bench.transfer.handover import read

HANDOVER = "mixpro_bench.Handover"


def set_upstream(cfg: Config, checkpoint: str | None, *, from_scratch: bool = False) -> None:
    """Write into a transfer config where its backbone's weights come from.

    Args:
        cfg: The config; changed in place.
        checkpoint: Pretraining checkpoint; None leaves the config's own.
        from_scratch: No pretraining: the Handover is taken out and ``bench.method`` becomes ``scratch``.

    Raises:
        UserError: If both or neither are given, or the config has no place for a Handover.
    """
    backbone = cfg.get("model", {}).get("backbone")
    if backbone is None:
        raise UserError(f"{cfg.filename}: there is no model.backbone to transfer to; give a config of configs/transfer")
    if from_scratch:
        if checkpoint is not None:
            raise UserError(f"both the checkpoint {checkpoint} and --from-scratch are given; choose one")
        backbone.init_cfg = None
        cfg.bench = {**cfg.get("bench", {}), "method": "scratch", "preset": "scratch"}
        return
    init = backbone.get("init_cfg")
    if not isinstance(init, dict) or init.get("type") != HANDOVER:
        if checkpoint is None:
            raise UserError(
                f"{cfg.filename}: model.backbone.init_cfg is no {HANDOVER}, so this run would silently train from "
                "scratch; give a checkpoint, or say --from-scratch"
            )
        init = backbone.init_cfg = dict(type=HANDOVER)
    if checkpoint is not None:
        init["checkpoint"] = str(Path(checkpoint).expanduser().absolute())
    if init.get("checkpoint") is None:
        raise UserError(f"{cfg.filename}: no pretraining checkpoint is given; name one, or say --from-scratch")


def check_upstream(cfg: Config) -> LoadAudit | None:
    """Match the checkpoint with the config's backbone alone, so that a wrong one is refused within seconds.

    Returns:
        The audit that the run will have; None where no weights are taken over, and where a run is resumed: what it
        needs is in its own checkpoint.

    Raises:
        UserError: If the checkpoint cannot be read or matches too little.
    """
    init = cfg.model.backbone.get("init_cfg")
    if not isinstance(init, dict) or init.get("type") != HANDOVER or resumes(cfg):
        return None
    backbone = MODELS.build({**cfg.model.backbone, "init_cfg": None})
    options = {key: init[key] for key in ("weights", "min_share", "resize_patch") if key in init}
    return read(init["checkpoint"], backbone, **options).audit


def resumes(cfg: Config) -> bool:
    """Tell whether a run with this config goes on from a checkpoint of its own."""
    if not cfg.get("resume"):
        return False
    return bool(cfg.get("load_from") or (cfg.get("work_dir") and latest_checkpoint(cfg.work_dir)))
