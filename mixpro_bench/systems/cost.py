"""What a training step of every system costs at detection's image size, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mixpro_bench.errors import UserError
from mixpro_bench.files import write_text_atomic
from mixpro_bench.systems.model import System

PATH = Path(__file__).with_name("cost.json")
# Detection's image, padded as mmdet pads it, is a little larger.
SIZE = (800, 1333)
STEPS = 3


@cache
def stored(path: Path = PATH) -> Mapping[str, Any]:
    """Return ``setting`` and, by system, ``seconds`` and ``peak_mib`` or why it ``failed``; empty if never measured."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def store(result: Mapping[str, Any], path: Path = PATH) -> None:
    """Keep a result in the package, from where the page takes it.

    Raises:
        UserError: If the file cannot be written.
    """
    try:
        write_text_atomic(path, json.dumps(result, indent=1) + "\n")
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): measure in a checkout, installed with pip install -e"
        ) from error
    stored.cache_clear()


def measure_all(
    chosen: Sequence[System],
    device: str,
    *,
    size: tuple[int, int] = SIZE,
    amp: bool = False,
    small: bool = False,
    timeout: float = 1800,
    done: Callable[[System], None] = lambda one: None,
) -> dict[str, Any]:
    """Measure systems one after the other; one that runs out of memory or time takes no other with it.

    Args:
        chosen: What to measure.
        device: As `mixpro_bench.benchmark.measure.pick_device` takes it.
        size: Height and width of the image.
        amp: Run under bfloat16 autocast.
        small: Measure the tiny variants instead of the smallest published ones.
        timeout: Seconds after which a system is given up.
        done: Called after each system, to show progress.

    Returns:
        As `stored`.
    """
    found: dict[str, Any] = {}
    setting: dict[str, Any] = {}
    for one in chosen:
        task = {"name": one.name, "device": device, "size": size, "amp": amp, "small": small}
        command = [sys.executable, "-W", "ignore", "-m", __name__, json.dumps(task)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            found[one.name] = {"failed": f"no end after {timeout:g} s"}
        else:
            line = (run.stdout.strip().splitlines() or [""])[-1]
            if run.returncode == 0 and line.startswith("{"):
                told = json.loads(line)
                setting = told.pop("setting")
                found[one.name] = told
            else:
                told = (run.stderr.strip().splitlines() or [f"ended by signal {-run.returncode}"])[-1]
                found[one.name] = {"failed": told[:200]}
        done(one)
    return {"setting": setting, "systems": found}


def measure(
    one: System, device_name: str, size: tuple[int, int], amp: bool = False, small: bool = False
) -> dict[str, Any]:
    """Take training steps of a system for one image, in this process: feature maps, backward pass, AdamW.

    Returns:
        ``seconds``, the median of `STEPS` steps after one that does not count; ``peak_mib``, tensor memory at the worst
        moment of a step beyond weights, AdamW's state and the image; ``parameters``; and ``setting``.
    """
    import statistics
    import time

    import torch

    from mixpro_bench.benchmark.measure import machine, peak_bytes, pick_device, wait
    from mixpro_bench.registry import MODELS

    device = pick_device(device_name)
    config = one.small_config(dense=True) if small else one.config(dense=True)
    model = MODELS.build(config).to(device).train()
    image = torch.randn(1, 3, *size, device=device)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            maps = model(image)
            loss = sum(found.float().square().mean() for found in maps)
        loss.backward()
        optimizer.step()

    setting = {
        "image": f"{size[0]} x {size[1]}",
        "precision": "bfloat16 autocast" if amp else "float32",
        **{key: value for key, value in machine(device).items() if key != "load"},
    }
    step()
    seconds = []
    for _ in range(STEPS):
        wait(device)
        start = time.perf_counter()
        step()
        wait(device)
        seconds.append(time.perf_counter() - start)
    optimizer.zero_grad()
    peak = peak_bytes(step, device)
    return {
        "seconds": round(statistics.median(seconds), 4),
        "peak_mib": None if peak is None else round(peak / 2**20, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "setting": setting,
    }


if __name__ == "__main__":
    from mixpro_bench.systems import system

    told = json.loads(sys.argv[1])
    print(json.dumps(measure(system(told["name"]), told["device"], tuple(told["size"]), told["amp"], told["small"])))
