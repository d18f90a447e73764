"""The live view: of made-up statuses, and of a real suite that goes on while it is watched in a real terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from mixpro_bench.cli.main import main
from mixpro_bench.suite.status import RunStatus
from mixpro_bench.suite.watch import brief, is_going_on, look, time_left, view

TOY = Path(__file__).with_name("toy.py")
WATCH = [sys.executable, "-m", "mixpro_bench", "watch"]


def facts_of(statuses, suite=None):
    counts = {state: sum(one.state == state for one in statuses) for state in ("done", "running", "failed", "waiting")}
    return {"work_dir": "/x/mine", "suite": suite, "counts": counts, "statuses": statuses, "took": 0.0}


def drawn(facts, width=140, height=None):
    out = io.StringIO()
    Console(file=out, width=width).print(view(facts, width, height))
    return out.getvalue().splitlines()


RUNNING = RunStatus(
    "det/mixpro/seed0", "running", "train", 30, 120, 2, 8, 0.51234, 60.0, 180.0, {"coco/bbox_mAP": 0.312, "x": 1.0}
)
DONE = RunStatus("pretrain/mixpro/seed0", "done", "done", 99, 99, seconds=100.0, metrics={"top1": 90.04})
FAILED = RunStatus(
    "seg/mixpro/seed0", "failed", "val", 5, 10, loss="nan", detail="no room [/bold] left", resumable=True
)
WAITING = RunStatus("seg/none/seed0", "waiting", detail="pretrain/none/seed0 running")


def test_a_line_tells_all_there_is():
    lines = drawn(facts_of([DONE, RUNNING, FAILED, WAITING], {"name": "toys", "running": True}))
    assert "toys  1 done  1 running  1 failed  1 waiting" in lines[0]
    assert lines[1].split() == ["run", "state", "progress", "time", "left", "loss", "last", "word"]
    assert lines[2].split() == ["pretrain/mixpro/seed0", "done", "1:40", "top-1", "90.0"]
    assert re.search(r"running .*30/120 epoch 3/8 +1:00 +3:00 +0.5123 +box AP 31.2", lines[3])
    assert re.search(r"failed +5/10 +nan +no room \[/bold\] left, can be resumed", lines[4])
    assert re.search(r"waiting +pretrain/none/seed0 running", lines[5])


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width):
    lines = drawn(facts_of([DONE, RUNNING, FAILED, WAITING] * 2), width)
    assert len(lines) == 10
    assert max(map(len, lines)) <= width


def test_where_there_is_little_room_those_stay_in_which_something_happens():
    many = [RunStatus(f"pretrain/m/seed{k}", "done", seconds=1.0) for k in range(50)]
    many[20:20] = [RUNNING, WAITING]
    lines = drawn(facts_of([*many, FAILED]), height=9)
    assert len(lines) <= 9
    assert [line.split()[1] for line in lines[2:-1]] == ["done", "done", "running", "waiting", "failed"]
    assert lines[-1].strip() == "and 48 more: 48 done"


def test_time_left_is_shared_by_as_many_runs_as_are_going_on():
    assert time_left([DONE, WAITING]) is None
    # Of det: 180 s of the running one and 240 s of the waiting one; seg has told nothing, so (100 + 240) / 2.
    det = RunStatus("det/none/seed0", "waiting")
    assert time_left([DONE, RUNNING, det, WAITING]) == pytest.approx(180 + 240 + 170)
    silent = RunStatus("pretrain/none/seed0", "running", seconds=30.0)
    assert time_left([DONE, RUNNING, silent]) == pytest.approx((180 + 70) / 2)


def test_metrics_are_called_as_the_leaderboard_does():
    assert brief({"aAcc": 80.0, "mIoU": 40.06, "mAcc": 50.0}) == "mIoU 40.1"
    assert brief({}) == ""
    assert brief({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}) == "a 1, b 2, c 3"


def test_what_still_goes_on():
    assert is_going_on(facts_of([RUNNING]))
    assert not is_going_on(facts_of([DONE, WAITING], {"name": "toys", "running": False}))
    assert is_going_on(facts_of([DONE, WAITING], {"name": "toys", "running": True}))
    assert not is_going_on(facts_of([DONE, FAILED], {"name": "toys", "running": True}))


def told(folder, state=None, validations=()):
    folder.mkdir(parents=True, exist_ok=True)
    if state:
        (folder / "progress.json").write_text(json.dumps({"pid": os.getpid(), "updated": time.time(), **state}))
    (folder / "validations.json").write_text(json.dumps({"validations": list(validations)}))


def test_a_folder_that_grows(tmp_path, capsys):
    run = tmp_path / "det/mixpro/seed0"
    told(run, {"stage": "train", "iter": 10, "max_iters": 40, "epoch": 1, "max_epochs": 4, "loss": 2.5, "eta_s": 90})
    assert main(["watch", str(tmp_path), "--once"]) == 0
    text = capsys.readouterr().out
    assert "1 running" in text
    assert "10/40 epoch 2/4" in text
    assert "2.5" in text
    told(run, {"stage": "val", "iter": 20, "max_iters": 40}, [{"metrics": {"coco/bbox_mAP": 0.1}}])
    assert "box AP 10.0" in "\n".join(drawn(look(tmp_path)))
    told(run, {"stage": "train", "iter": 21, "max_iters": 40}, [{}, {"metrics": {"coco/bbox_mAP": 0.2, "y": None}}])
    told(tmp_path / "seg/mixpro/seed0", {"stage": "start", "iter": 0, "max_iters": None, "pid": 2**22 + 1})
    assert main(["watch", str(tmp_path)]) == 1, "without a terminal it ends at once"
    text = capsys.readouterr().out
    assert "box AP 20.0" in text
    assert "1 running  1 failed" in text
    (run / "validations.json").write_text('{"validations": [{"metr')
    assert main(["watch", str(tmp_path), "--once"]) == 1


@pytest.mark.parametrize("words", [["--interval", "0"], ["--interval", "nan"]])
def test_wrong_words_are_refused(tmp_path, capsys, words):
    assert main(["watch", str(tmp_path), *words]) == 2
    assert "--interval" in capsys.readouterr().err
    assert main(["watch", str(tmp_path / "none"), "--once"]) == 2


def in_a_terminal(command):
    """Start a command in a terminal of 100 x 20; returns the process and what collects its output."""
    leader, follower = pty.openpty()
    env = {**os.environ, "COLUMNS": "100", "LINES": "20", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=env, start_new_session=True
    )
    os.close(follower)
    output = []

    def read():
        while True:
            try:
                block = os.read(leader, 65536)
            except OSError:
                return
            if not block:
                return
            output.append(block.decode(errors="replace"))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return process, output, reader


SUITE = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_status import toy
from mixpro_bench.suite.main import run_suite
from mixpro_bench.suite.plan import Plan
root = Path({root!r})
runs = (toy(root, "pretrain", "mixpro", "--sleep", "2"), toy(root, "det", "mixpro", "--sleep", "2"))
run_suite(Plan("toys", runs, 1), root)
"""


def test_a_real_suite_is_watched_to_its_end(tmp_path):
    script = SUITE.format(tests=str(TOY.parent), root=str(tmp_path))
    suite = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not (tmp_path / "suite.json").exists():
        assert suite.poll() is None, suite.stderr.read().decode()
        time.sleep(0.05)
    process, output, reader = in_a_terminal([*WATCH, str(tmp_path), "--interval", "0.2"])
    try:
        assert process.wait(60) == 0
        reader.join(5)
        text = "".join(output)
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
        assert re.search(r"toys\s+1 running\s+1 waiting", plain)
        assert re.search(r"toys\s+1 done\s+1 running", plain)
        assert "1/4" in plain
        # What stays on the screen is the last view.
        end = plain[plain.rindex("toys") :]
        assert "2 done" in end
        assert "top-1 90.0" in end
        assert "box AP 40.0" in end
        assert "\x1b[?1049l" in text, "the terminal is given back"
    finally:
        process.kill()
        assert suite.wait(60) == 0


def test_ctrl_c_ends_it_without_a_word(tmp_path):
    told(tmp_path / "det/mixpro/seed0", {"stage": "train", "iter": 1, "max_iters": 4})
    process, output, reader = in_a_terminal([*WATCH, str(tmp_path), "--interval", "30"])
    try:
        deadline = time.monotonic() + 30
        while "det/mixpro/seed0" not in "".join(output) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        reader.join(5)
        assert "Traceback" not in "".join(output)
    finally:
        process.kill()
