"""A disk without room while a checkpoint is written: a real small file system, and a limit on the size of files."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixpro_bench.compat.checkpoint import latest_checkpoint, load_checkpoint
from mixpro_bench.errors import UserError
from mixpro_bench.launch import clear_errors, run_training

pytestmark = pytest.mark.mm
TOY = Path(__file__).parents[1] / "compat" / "toy.py"
MIB = 2**20


@pytest.fixture(scope="module")
def toy():
    spec = importlib.util.spec_from_file_location("toy", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory) -> Iterator[Path]:
    """A file system of eight MiB, in memory."""
    folder = tmp_path_factory.mktemp("disk")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def no_room(kind: str, folder: Path) -> Iterator[None]:
    """Leave room for logs, and none for a checkpoint."""
    if kind == "full":
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(folder).free - MIB // 2))
        yield
        ballast.unlink()
    else:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB // 2, limits[1]))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("kind", "reason"), [("full", os.strerror(28)), ("limit", os.strerror(27))], ids=["full disk", "limit of size"]
)
def test_the_checkpoint_before_stays_and_the_run_goes_on_from_it(toy, tmp_path, request, kind, reason):
    disk = request.getfixturevalue("small_disk") if kind == "full" else tmp_path

    def config(name: str):
        # A checkpoint, with the optimizer's two averages, takes 1.7 MiB.
        cfg = toy.config(disk / name, model=dict(type="ToyClassifier", width=20_000))
        cfg.default_hooks.checkpoint.pop("save_best")
        return cfg

    whole = toy.train(config("whole"))
    shutil.rmtree(disk / "whole")
    cut = disk / "cut"
    with pytest.raises(InterruptedError):
        toy.train(config("cut"), stop=5)
    before = (cut / "iter_4.pth").read_bytes()
    cfg = config("cut")
    cfg.resume = True
    with (
        no_room(kind, disk),
        pytest.raises(
            UserError, match=rf"iter_6\.pth cannot be written \({reason}\): make room and run again, what .* untouched$"
        ),
    ):
        run_training(cfg)
    assert (cut / "iter_4.pth").read_bytes() == before
    assert latest_checkpoint(cut) == cut / "iter_4.pth"
    assert load_checkpoint(cut / "iter_4.pth")["meta"]["iter"] == 4
    assert not list(cut.glob(".*.tmp"))
    assert toy.fingerprint(toy.train(cfg).model) == toy.fingerprint(whole.model)
    assert [path.name for path in cut.glob("*.pth")] == ["iter_10.pth"]


def test_other_files_without_room(small_disk):
    with (
        no_room("full", small_disk),
        pytest.raises(UserError, match=r"^there is no room on the disk: make room, and run again with --resume$"),
        clear_errors(),
        open(small_disk / "log", "wb") as log,
    ):
        log.write(bytes(MIB))
