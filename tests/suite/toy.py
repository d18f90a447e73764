"""A run's stand-in: writes progress, a checkpoint and a Record as a training does, and fails or waits when told to."""

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("work_dir", type=Path)
parser.add_argument("--stage", default="pretrain")
parser.add_argument("--method", default="mixpro")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--upstream", default="")
parser.add_argument("--fail", action="store_true")
parser.add_argument("--fail-once", action="store_true")
parser.add_argument("--killed", action="store_true")
parser.add_argument("--no-record", action="store_true")
parser.add_argument("--sleep", type=float, default=0.0)
parser.add_argument("--sleep-once", type=float, default=0.0)
parser.add_argument("--data", default="d0")
args = parser.parse_args()

start = time.time()
print(f"toy {args.stage} threads {os.environ['OMP_NUM_THREADS']}", flush=True)
print(f"devices {os.environ.get('CUDA_VISIBLE_DEVICES')}", flush=True)
if "RANK" in os.environ:
    print(f"rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']}", flush=True)
progress = {"stage": "train", "iter": 1, "max_iters": 4, "eta_s": 3.0, "pid": os.getpid(), "updated": time.time()}
(args.work_dir / "progress.json").write_text(json.dumps(progress))
time.sleep(args.sleep)
slept = args.work_dir / "slept"
if args.sleep_once and not slept.exists():
    slept.touch()
    time.sleep(args.sleep_once)
if args.fail:
    print("the data is not there", flush=True)
    sys.exit(3)
marker = args.work_dir / "failed-once"
if args.fail_once and not marker.exists():
    marker.touch()
    sys.exit(3)
if args.killed:
    os.kill(os.getpid(), signal.SIGKILL)
if args.no_record:
    sys.exit(0)

from mixpro_bench.leaderboard import Record, write_record  # noqa: E402

checkpoint = args.work_dir / "last.pth"
checkpoint.write_text(f"{args.stage} {args.method} {args.seed}")
upstream = hashlib.sha256(Path(args.upstream).read_bytes()).hexdigest() if args.upstream else None
audit = {"matched": 4, "missing": 0, "unexpected": 0, "total": 4, "share": 1.0, "weights": "raw"}
metrics = {"pretrain": {"top1": 90.0}, "det": {"coco/bbox_mAP": 0.4}, "seg": {"mIoU": 50.0}}[args.stage]
write_record(
    Record(
        stage=args.stage,
        method={"name": args.method, "preset": args.method},
        backbone="toy",
        protocol={"name": f"toy-{args.stage}", "version": 1},
        recipe_hash=args.stage,
        pretrain_seed=args.seed if upstream or args.stage == "pretrain" else None,
        seed=args.seed,
        metrics=metrics,
        cost={"wall_s": time.time() - start, "train_s": time.time() - start},
        provenance={
            "checkpoint": str(checkpoint),
            "checkpoint_sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
            "upstream_sha256": upstream,
            "load_audit": audit if upstream else None,
            "data_fingerprint": args.data,
        },
    ),
    args.work_dir / "record.json",
)
print("toy done", flush=True)
