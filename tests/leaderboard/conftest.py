"""Records to test with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mixpro_bench.leaderboard import Record

METRICS = {"pretrain": {"top1": 90.0}, "det": {"coco/bbox_mAP": 0.4}, "seg": {"mIoU": 50.0}}


def make_record(stage: str = "pretrain", method: str = "mixpro", seed: int = 0, **changes: Any) -> Record:
    """Return a Record of one run; transfers belong to the pretraining of the same method and seed."""
    provenance: dict[str, Any] = {"commit": "c", "data_fingerprint": f"data-{stage}"}
    if stage == "pretrain":
        provenance["checkpoint_sha256"] = f"{method}{seed}"
    elif method != "scratch":
        provenance["upstream_sha256"] = f"{method}{seed}"
        provenance["load_audit"] = {"matched": 8, "missing": 0, "unexpected": 0, "total": 8, "share": 1.0}
    fields = {
        "stage": stage,
        "method": {"name": method, "preset": method},
        "backbone": "vit",
        "protocol": {"name": f"p-{stage}", "version": 1},
        "recipe_hash": f"recipe-{stage}",
        "pretrain_seed": None if method == "scratch" else seed,
        "seed": seed,
        "metrics": METRICS[stage],
        "cost": {"wall_s": 120.0, "train_s": 100.0, "images_per_s": 50.0},
        "provenance": provenance | changes.pop("provenance", {}),
    }
    return Record(**(fields | changes))


@pytest.fixture(scope="session")
def make() -> Callable[..., Record]:
    """`make_record`."""
    return make_record


@pytest.fixture(scope="session")
def chain() -> Callable[..., list[Record]]:
    """Return a function that makes the three Records of one method and seed."""

    def records(method: str = "mixpro", seed: int = 0, **changes: Any) -> list[Record]:
        return [make_record(stage, method, seed, **changes) for stage in ("pretrain", "det", "seg")]

    return records
