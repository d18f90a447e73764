"""Write made-up Records: a few dozen for the demo page and the tests, thousands to measure how fast they are read.

Run as ``python tests/leaderboard/make_records.py DIR [--count N] [--points N] [--configs]``. The numbers are invented:
effects of the methods plus normal noise of a fixed generator, so that the same call writes the same files. Those in
``tests/data/records`` were made by ``--count 60 --points 8 --configs``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

METHODS = {"none": 0.0, "mixup": 0.5, "cutmix": 0.9, "mixpro": 1.6}
STAGES = ("pretrain", "det", "seg")
SEEDS = 3
BACKBONES = {"vit_digits": (86_000, 5.1e6), "vit_small64": (1_240_000, 8.4e7)}
PROTOCOLS = {"pretrain": "digits-cls", "det": "digits-det", "seg": "digits-seg"}
# Length of a run and what counts it; how many validations it has; its main metric.
COURSE = {"pretrain": (300, "epoch", 100, "top1"), "det": (9000, "iter", 12, "coco/bbox_mAP"),
          "seg": (8000, "iter", 10, "mIoU")}  # fmt: skip


def digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def course(stage: str, method: str, effect: float, metrics: dict[str, float], points: int, name: str) -> dict[str, Any]:
    """Return the series of a run that ends at ``metrics``, and its best validation, shortly before its end."""
    length, axis, validations, main = COURSE[stage]
    generator = np.random.default_rng(int(name[:8], 16))

    def curve(most, value, noise=0.0):
        at = np.unique(np.round(np.linspace(length / most, length, most))).astype(int)
        values = value(at / length) * (1 + noise * generator.standard_normal(len(at)))
        return {"axis": axis, "at": at.tolist(), "values": [float(f"{one:.6g}") for one in values]}

    series = {
        "loss": curve(points, lambda t: 1.5 + 0.4 * effect + 5 * np.exp(-4 * t), 0.005),
        "lr": curve(points, lambda t: 0.0005 * (1 + np.cos(np.pi * t))),
    }
    if stage == "pretrain" and method == "mixpro":
        series["factor"] = curve(points, lambda t: 0.5 - 0.5 * np.cos(np.pi * t))
    for name, last in metrics.items():
        series[name] = curve(min(points, validations), lambda t, last=last: last * (1 - np.exp(-6 * t)), 0.001)
        series[name]["values"][-1] = last
    best = {name: round(last * 1.004, 4) for name, last in metrics.items()}
    series[main]["values"][-2:-1] = [best[main]]
    where = {"at": series[main]["at"][-2:][0], "axis": axis}
    return {"series": series, "best": {"metric": main, "value": best[main], **where, "metrics": best}}


def record(
    stage: str, method: str, effect: float, backbone: str, seed: int, noise: float, points: int
) -> dict[str, Any]:
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
    metrics = {key: round(value, 4) for key, value in metrics.items()}
    return {
        "schema_version": 1,
        "stage": stage,
        "method": {"name": method, "preset": method},
        "backbone": backbone,
        "protocol": {"name": PROTOCOLS[stage], "version": 1},
        "recipe_hash": digest("recipe", stage),
        "pretrain_seed": seed,
        "seed": seed,
        "metrics": metrics,
        "cost": {"wall_s": 300 + 20 * effect, "train_s": 280 + 20 * effect, "images_per_s": 900 - 40 * effect,
                 "peak_memory_mb": 812.5, "peak_memory_of": "device", "devices": 1},
        "provenance": provenance,
        "model": {"parameters": parameters, "macs": macs, "image_size": [64, 64]} if stage == "pretrain" else None,
        **course(stage, method, effect, metrics, points, digest(stage, method, backbone, seed)),
        "data_check": "failed" if (stage, method, backbone) == ("seg", "cutmix", "vit_small64") else "passed",
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


def text(data: dict[str, Any]) -> str:
    """Write JSON with a line per field; a list of numbers takes one line."""
    lines = json.dumps(data, indent=1)
    return re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s*\n\s*", " ", found[0]), lines) + "\n"


def write_records(root: Path, count: int, points: int, configs: bool = False) -> int:
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
                data = record(stage, name, effect, backbone, seed, shared + generator.normal(0, 0.2), points)
                folder = root / backbone / name / f"seed{seed}" / stage
                folder.mkdir(parents=True, exist_ok=True)
                # Those with configs are for people, the thousands for machines.
                (folder / "record.json").write_text(text(data) if configs else json.dumps(data), encoding="utf-8")
                if configs:
                    (folder / "config.py").write_text(config(stage, name, backbone, seed), encoding="utf-8")
                written += 1
    return written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--points", type=int, default=100, help="of a curve, at most")
    parser.add_argument("--configs", action="store_true", help="also write a config.py beside each Record")
    args = parser.parse_args()
    print(f"{write_records(args.dir, args.count, args.points, args.configs)} Records in {args.dir}")
