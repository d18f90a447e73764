"""Write made-up Records: a few dozen for the demo page and the tests, thousands to measure how fast they are read.

Run as ``python tests/leaderboard/make_records.py DIR [--count N] [--configs]``. The numbers are invented: effects of
the methods plus normal noise of a fixed generator, so that the same call writes the same files. Those in
``tests/data/records`` were made by ``--count 60 --configs``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

METHODS = {"none": 0.0, "mixup": 0.5, "cutmix": 0.9, "mixpro": 1.6}
STAGES = ("pretrain", "det", "seg")
SEEDS = 3
BACKBONES = {"vit_digits": (86_000, 5.1e6), "vit_small64": (1_240_000, 8.4e7)}
PROTOCOLS = {"pretrain": "digits-cls", "det": "digits-det", "seg": "digits-seg"}


def digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def record(stage: str, method: str, effect: float, backbone: str, seed: int, noise: float) -> dict[str, Any]:
    """Return one Record as JSON data; ``effect`` and ``noise`` are in percent."""
    gain = effect + noise
    metrics = {
        "pretrain": {"top1": 88 + gain, "top5": 98 + gain / 10},
        "det": {
            f"coco/{kind}_mAP{end}": (base + gain) / 100
            for kind, base in (("bbox", 41.0), ("segm", 37.0))
            for end, base in (("", base), ("_50", base + 20), ("_75", base + 3), ("_s", base - 17), ("_m", base + 2),
                              ("_l", base + 14))
        },
        "seg": {"mIoU": 61 + 0.7 * gain, "mAcc": 72 + 0.7 * gain, "aAcc": 84 + 0.3 * gain},
    }[stage]  # fmt: skip
    pretrained = digest("weights", "pretrain", method, backbone, seed)
    parameters, macs = BACKBONES.get(backbone, (22_000_000, 4.6e9))
    provenance: dict[str, Any] = {
        "commit": digest("commit")[:40],
        "dirty": method == "mixup" and backbone == "vit_small64",
        "config_sha256": digest("config", stage, method, backbone, seed),
        "checkpoint": f"work_dirs/{backbone}/{method}/seed{seed}/{stage}/last.pth",
        "checkpoint_sha256": pretrained if stage == "pretrain" else digest("weights", stage, method, backbone, seed),
        "data_fingerprint": digest("data", stage),
        "packages": {"torch": "2.11.0", "mmengine": "0.10.7", "timm": "1.0.31"},
        "device": "made up",
    }
    if stage != "pretrain":
        provenance["upstream_sha256"] = pretrained
        provenance["load_audit"] = {"matched": 50, "missing": 0, "unexpected": 2, "total": 50, "share": 1.0}
    return {
        "schema_version": 1,
        "stage": stage,
        "method": {"name": method, "preset": method},
        "backbone": backbone,
        "protocol": {"name": PROTOCOLS[stage], "version": 1},
        "recipe_hash": digest("recipe", stage),
        "pretrain_seed": seed,
        "seed": seed,
        "metrics": {key: round(value, 4) for key, value in metrics.items()},
        "cost": {"wall_s": 300 + 20 * effect, "train_s": 280 + 20 * effect, "images_per_s": 900 - 40 * effect,
                 "peak_memory_mb": 812.5, "devices": 1},
        "provenance": provenance,
        "model": {"parameters": parameters, "macs": macs} if stage == "pretrain" else None,
        "created": f"2026-01-{1 + seed:02d}T12:00:00Z",
    }  # fmt: skip


def config(stage: str, method: str, backbone: str, seed: int) -> str:
    lines = [
        f"bench = dict(task={stage!r}, method={method!r}, backbone={backbone!r}, protocol={PROTOCOLS[stage]!r})",
        f"model = dict(mixing=dict(type={method!r}, prob={METHODS.get(method, 1.0)}))",
        f"randomness = dict(deterministic=False, seed={seed})",
        "train_cfg = dict(max_epochs=30)",
    ]
    return "\n".join(lines) + "\n"


def write_records(root: Path, count: int, configs: bool = False) -> int:
    """Write at least ``count`` Records below ``root``, whole rows of three stages and seeds; return how many."""
    generator = np.random.default_rng(7)
    per_row = len(STAGES) * SEEDS
    # Beyond the named ones the methods are m4, m5, ... and the backbones net2, net3, ...
    rows = -(-count // per_row)
    methods = list(METHODS) + [f"m{k}" for k in range(len(METHODS), max(len(METHODS), round(rows**0.5)))]
    written = 0
    for number in range(rows):
        net, method = divmod(number, len(methods))
        backbone = [*BACKBONES][net] if net < len(BACKBONES) else f"net{net}"
        name = methods[method]
        effect = METHODS.get(name, (method % 17) / 10)
        for seed in range(SEEDS):
            shared = generator.normal(0, 0.3)
            for stage in STAGES:
                data = record(stage, name, effect, backbone, seed, shared + generator.normal(0, 0.2))
                folder = root / backbone / name / f"seed{seed}" / stage
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "record.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
                if configs:
                    (folder / "config.py").write_text(config(stage, name, backbone, seed), encoding="utf-8")
                written += 1
    return written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--configs", action="store_true", help="also write a config.py beside each Record")
    args = parser.parse_args()
    print(f"{write_records(args.dir, args.count, args.configs)} Records in {args.dir}")
