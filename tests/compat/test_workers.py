"""Data workers do not outlive a run that was killed, not even with their hands full."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from mixpro_bench.compat.workers import end_with_run

RUN = """
import sys, time, torch
from torch.utils.data import DataLoader
from mixpro_bench.compat.workers import end_with_run

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 1000
    def __getitem__(self, index):
        # Bytes go through the pipe itself, which these fill.
        return b"x" * 300_000

if __name__ == "__main__":
    loader = DataLoader(Data(), num_workers=2, batch_size=1, collate_fn=list, multiprocessing_context=sys.argv[1])
    if sys.argv[2] == "ours":
        end_with_run(loader)
    batches = iter(loader)
    next(batches)
    print(*[worker.pid for worker in batches._workers], flush=True)
    time.sleep(60)
"""


def alive(pids: list[int]) -> list[int]:
    """Those that run; a process that has ended and was not waited for yet does not count."""

    def state(pid: int) -> str:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return "Z"

    return [pid for pid in pids if state(pid) != "Z"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end a process with its parent")
@pytest.mark.parametrize(("method", "which"), [("fork", "ours"), ("spawn", "ours"), ("fork", "torch")])
def test_workers_end_with_a_killed_run(tmp_path, method, which):
    """With torch alone they stay: when that is no longer so, `workers` can go."""
    script = tmp_path / "run.py"
    script.write_text(RUN)
    with subprocess.Popen([sys.executable, str(script), method, which], stdout=subprocess.PIPE, text=True) as run:
        workers = [int(word) for word in run.stdout.readline().split()]
        time.sleep(0.5)  # until they are stuck
        run.kill()
        run.wait()
    try:
        assert len(workers) == 2
        deadline = time.monotonic() + (7.0 if which == "torch" else 5.0)
        while alive(workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(alive(workers)) == (2 if which == "torch" else 0)
    finally:
        for pid in alive(workers):
            os.kill(pid, signal.SIGKILL)


def test_the_loader_keeps_its_own_start(tmp_path):
    def start(worker: int) -> None:
        (tmp_path / str(worker)).touch()

    loader = DataLoader(torch.arange(4), num_workers=1, worker_init_fn=start, multiprocessing_context="fork")
    end_with_run(loader)
    assert torch.cat(list(loader)).tolist() == [0, 1, 2, 3]
    assert (tmp_path / "0").exists()
    loader = DataLoader(torch.arange(4), num_workers=0, worker_init_fn=start)
    end_with_run(loader)
    assert loader.worker_init_fn is start
