"""What a suite shows, without and with a terminal."""

from __future__ import annotations

import io
import json
import time

import pytest
from rich.console import Console

from mixpro_bench.suite.progress import Display, clock
from mixpro_bench.suite.run import Run, run_name


def runs(root, count=3):
    return [Run("det", f"m{k}", 0, root / run_name("det", f"m{k}", 0)) for k in range(count)]


def say(run, **state):
    run.work_dir.mkdir(parents=True, exist_ok=True)
    state = {"stage": "train", "iter": 5, "max_iters": 10, "eta_s": 65.0, "updated": time.time()} | state
    (run.work_dir / "progress.json").write_text(json.dumps(state))


def test_plain_lines_where_there_is_no_terminal(tmp_path):
    first, second, third = runs(tmp_path)
    out = io.StringIO()
    with Display([first, second, third], 1, Console(file=out, width=40), line_seconds=0.0) as display:
        display.start(first)
        say(first)
        display.update()
        display.finish(first, "done", 75.0, "")
        display.finish(second, "failed", 2.0, "exit status 3")
        display.finish(third, "skipped", 0.0, "det/m1/seed0 failed")
    lines = out.getvalue().splitlines()
    assert lines[0] == f"[0/3] det/m0/seed0 started, log {first.log}"
    assert lines[1] == "  det/m0/seed0 train 5/10, 1:05 left"
    assert lines[2].startswith("  whole suite [0/3], about 3:1")
    assert lines[3:] == [
        "[1/3] det/m0/seed0 done in 1:15",
        "[2/3] det/m1/seed0 FAILED after 0:02: exit status 3",
        "[3/3] det/m2/seed0 skipped: det/m1/seed0 failed",
    ]
    assert "\x1b" not in out.getvalue()


def test_bars_on_a_terminal(tmp_path):
    first, second = runs(tmp_path, 2)
    out = io.StringIO()
    with Display([first, second], 2, Console(file=out, width=120, force_terminal=True)) as display:
        display.start(first)
        say(first)
        display.update()
        time.sleep(0.5)
        display.update()
        display.note("[/] not markup")
    text = out.getvalue()
    assert "det/m0/seed0" in text
    assert "train 5/10, 1:05 left" in text
    assert "0/2 runs, about" in text
    assert "[/] not markup" in text


def test_the_last_word_of_an_earlier_session_does_not_count(tmp_path):
    (run,) = runs(tmp_path, 1)
    say(run, iter=9, updated=time.time() - 100)
    out = io.StringIO()
    with Display([run], 1, Console(file=out), line_seconds=0.0) as display:
        display.start(run)
        display.update()
    assert "starting" in out.getvalue()


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_a_broken_progress_file_does_no_harm(tmp_path, text):
    (run,) = runs(tmp_path, 1)
    run.work_dir.mkdir(parents=True)
    (run.work_dir / "progress.json").write_text(text)
    out = io.StringIO()
    with Display([run], 1, Console(file=out), line_seconds=0.0) as display:
        display.start(run)
        display.update()
    assert "starting" in out.getvalue()


def test_the_time_left_counts_all_runs_and_jobs(tmp_path):
    all_runs = runs(tmp_path, 4)
    display = Display(all_runs, 2, Console(file=io.StringIO()))
    assert display.eta() is None
    display.start(all_runs[0])
    display.finish(all_runs[0], "done", 100.0, "")
    assert display.eta() == pytest.approx(150.0), "three runs of 100 s, two at once"
    display.start(all_runs[1])
    say(all_runs[1], eta_s=40.0)
    display.update()
    # 40 s are left of the second; the others take the mean of 100 s and its 40 s.
    assert display.eta() == pytest.approx((40 + 2 * 70) / 2, abs=0.5)


def test_clock():
    assert [clock(s) for s in (0, 59.6, 3599, 3661)] == ["0:00", "1:00", "59:59", "1:01:01"]
