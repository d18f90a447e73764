"""One process and two with the same global batch, trained once for all tests of this folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

HEADER = """
_base_ = "{root}/configs/{base}.py"
custom_imports = dict(imports=["spy"])
train_dataloader = dict(batch_size={batch}, num_workers=1, dataset=dict({key}={data!r}))
val_dataloader = dict(dataset=dict({key}={data!r}))
test_dataloader = val_dataloader
"""
# Equal mixing groups however the batch is cut. The shipped configs have no drop path.
PRETRAIN = """
model = dict(backbone=dict(depth=2), policy=dict(mix_group=4))
custom_hooks = [
    dict(type="mixpro_bench.MixProHook"),
    dict(type="EMAHook", momentum=0.2),
    dict(type="SpyHook"),
]
train_cfg = dict(max_epochs=2, val_interval=2)
"""
# The rate of an accumulated step is that of its last pass: half a pass off the rate of a plain step.
CONSTANT_RATE = "param_scheduler = []\n"
SEG = """
model = dict(
    backbone=dict(depth=1, init_cfg=None), decode_head=dict(dropout_ratio=0.0), auxiliary_head=dict(dropout_ratio=0.0)
)
custom_hooks = [dict(type="SpyHook")]
train_cfg = dict(max_iters=3, val_interval=3)
"""
TWO_PASSES = "optim_wrapper = dict(accumulative_counts=2)\n"
MIXPRO, CUTMIX, SMMIX = (f"pretrain/digits/vit_digits_{name}" for name in ("mixpro", "cutmix", "smmix"))
UPERNET = "transfer/seg/upernet_vit-digits_digits"


@dataclass(frozen=True)
class Case:
    """A run: processes, base config, batch per process and pass, what else its config and its command line say."""

    processes: int
    base: str
    batch: int
    settings: str
    words: tuple[str, ...] = ()


CASES = {
    "mixpro-1": Case(1, MIXPRO, 16, PRETRAIN + CONSTANT_RATE),
    # Half of what the config says for each, as the option asks.
    "mixpro-2": Case(2, MIXPRO, 16, PRETRAIN + CONSTANT_RATE, ("--global-batch", "16")),
    "passes-1": Case(1, MIXPRO, 8, PRETRAIN + CONSTANT_RATE + TWO_PASSES),
    "passes-2": Case(2, MIXPRO, 4, PRETRAIN + CONSTANT_RATE + TWO_PASSES),
    "groups-2": Case(2, MIXPRO, 8, PRETRAIN.replace("mix_group=4", "mix_group=None") + CONSTANT_RATE),
    "amp-2": Case(2, MIXPRO, 8, PRETRAIN.replace("depth=2", "depth=2, grad_checkpointing=True"), ("--amp",)),
    "cutmix-1": Case(1, CUTMIX, 16, PRETRAIN),
    "cutmix-2": Case(2, CUTMIX, 8, PRETRAIN),
    "smmix-1": Case(1, SMMIX, 16, PRETRAIN),
    "smmix-2": Case(2, SMMIX, 8, PRETRAIN),
    "upernet-1": Case(1, UPERNET, 4, SEG, ("--from-scratch",)),
    "upernet-2": Case(2, UPERNET, 2, SEG, ("--from-scratch",)),
}


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """No GPU, the spy within reach, and a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}",
        "PORT": str(port),
    }


@pytest.fixture(scope="session")
def config(tmp_path_factory) -> Callable[[str], Path]:
    """Return a function that writes the config of a run."""
    from mixpro_bench.datasets.digits import build_digits

    folder = tmp_path_factory.mktemp("configs")
    data = build_digits(folder / "digits", counts=dict(cls=(96, 10), det=(2, 2), seg=(16, 4)))

    def write(name: str) -> Path:
        case = CASES[name]
        kind, key = ("cls", "root") if case.base.startswith("pretrain") else ("seg", "data_root")
        head = HEADER.format(root=ROOT, base=case.base, batch=case.batch, key=key, data=str(data / kind))
        path = folder / f"{name}.py"
        path.write_text(head + case.settings)
        return path

    return write


@pytest.fixture(scope="session")
def work(tmp_path_factory, config, environment) -> Path:
    """Folder with the work dir of every run.

    Runs with equally many processes share one start, but for one that comes in as users do.
    """
    folder = tmp_path_factory.mktemp("work")
    lists: dict[int, list[list[str]]] = {1: [], 2: []}
    for name, case in CASES.items():
        command = case.base.split("/")[0]
        lists[case.processes].append([command, str(config(name)), *case.words, "--work-dir", str(folder / name)])
    tool = lists[2].pop(0)
    for processes, words in lists.items():
        (folder / f"{processes}.json").write_text(json.dumps(words))
    train = str(HERE / "train.py")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    for command in (
        [sys.executable, train, str(folder / "1.json")],
        [*torchrun, train, str(folder / "2.json")],
        ["bash", str(ROOT / "tools/pretrain.sh"), tool[1], "2", *tool[2:]],
    ):
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return folder
