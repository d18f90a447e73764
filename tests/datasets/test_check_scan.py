from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mixpro_bench.cli.main import main
from mixpro_bench.datasets.check.looks import Folder, PictureLook
from mixpro_bench.datasets.check.report import Report
from mixpro_bench.datasets.check.scan import SAMPLE, Scanner
from mixpro_bench.errors import UserError

COUNT = 150


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    for number in range(COUNT):
        Image.new("RGB", (number % 7 + 1, 3)).save(tmp_path / f"data/{number:03d}.png")
    (tmp_path / "data/077.png").write_bytes(b"no picture")
    return Folder(tmp_path / "data")


def look_at(folder: Folder, **options: Any) -> tuple[dict[str, Any], Scanner]:
    scanner = Scanner(folder.path, **{"deep": True, **options})
    return scanner.run("pictures", folder, folder.names((".png",)), PictureLook(folder)), scanner


def test_processes_change_nothing(folder: Folder) -> None:
    alone, _ = look_at(folder, remember=False)
    several, scanner = look_at(folder, jobs=3, remember=False)
    assert several == alone
    assert list(several) == list(alone)
    assert scanner.looked == COUNT
    assert [name for name, result in alone.items() if result["problem"]] == ["077.png"]
    assert alone["005.png"]["size"] == [6, 3]


def test_a_shallow_check_takes_a_sample(folder: Folder) -> None:
    seen, scanner = look_at(folder, deep=False)
    assert scanner.looked == SAMPLE
    assert {"000.png", f"{COUNT - 1:03d}.png"} <= set(seen)


def test_good_files_are_remembered_until_they_change(folder: Folder) -> None:
    first, _ = look_at(folder, jobs=2)
    again, scanner = look_at(folder)
    assert (again, scanner.looked, scanner.remembered) == (first, 1, COUNT - 1)  # a bad file is looked at again
    Image.new("RGB", (50, 50)).save(folder.path / "003.png")
    Image.new("RGB", (50, 50)).save(folder.path / "077.png")
    later, scanner = look_at(folder)
    assert scanner.looked == 2
    assert later["003.png"]["size"] == later["077.png"]["size"] == [50, 50]
    assert look_at(folder, remember=False)[1].looked == COUNT


def test_what_is_remembered_may_be_lost(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = look_at(folder)
    [state] = (tmp_path / "cache/check-data").iterdir()
    for damage in (b"no database at all" * 100, b""):
        state.write_bytes(damage)
        assert look_at(folder)[0] == expected
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(state))  # a file: nothing can be written below it
    assert look_at(folder)[0] == expected


class Dies(PictureLook):
    """A look whose process is killed, as for want of memory."""

    def __call__(self, name: str) -> dict[str, Any]:
        if name == "100.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(name)


def test_a_killed_worker_is_one_sentence(folder: Folder) -> None:
    with pytest.raises(UserError, match="fewer --jobs"):
        Scanner(folder.path, deep=True, jobs=2).run("x", folder, folder.names((".png",)), Dies(folder))


SLOW = """
import sys, time
from pathlib import Path
from mixpro_bench.datasets.check import scan
from mixpro_bench.datasets.check.looks import Folder, PictureLook
scan.COMMIT_EVERY = 0.1
class Slow(PictureLook):
    def __call__(self, name):
        time.sleep(0.02)
        return super().__call__(name)
folder = Folder(Path(sys.argv[1]))
print("ready", flush=True)
scan.Scanner(folder.path, deep=True, jobs=2).run("pictures", folder, folder.names((".png",)), Slow(folder))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_check_that_was_stopped_goes_on(folder: Folder, how: signal.Signals) -> None:
    # One session, so that workers that outlive their parent could be found.
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(folder.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(1.2)
    process.send_signal(how)
    process.wait(20)
    process.stdout.close()
    deadline = time.monotonic() + 10
    while group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not group_lives(process.pid)
    seen, scanner = look_at(folder)
    assert len(seen) == COUNT
    assert 0 < scanner.remembered < COUNT - 1
    assert scanner.looked == COUNT - scanner.remembered


def group_lives(group: int) -> bool:
    """Whether processes of a group run still; those that only wait to be fetched do not count."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            return True
    return False


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["imagenet", "/nowhere/at/all"], "does not exist"),
        (["imagenet", ".", "--train-ann", "x.json"], "means nothing for imagenet"),
        (["coco", ".", "--keep-zero-label"], "means nothing for coco"),
        (["coco", ".", "--jobs", "0"], "at least 1"),
        (["ade20k", ".", "--class-file", "nothing.txt"], "correct --class-file"),
    ],
)
def test_a_wrong_command_line(words: list[str], sentence: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["check-data", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_lines_for_people(folder: Folder, capsys: pytest.CaptureFixture) -> None:
    assert main(["check-data", "imagenet", str(folder.path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("error: ") for line in lines)
    assert lines[-1].startswith("a run on these data would fail")


def test_report_levels() -> None:
    report = Report("coco", Path("x"))
    report.note("a", "b")
    report.warning("a", "b", ["c"] * 5000)
    assert report.ok
    assert len(report.to_dict()["findings"][1]["names"]) == 1000
    report.error("a", "b")
    assert not report.ok
