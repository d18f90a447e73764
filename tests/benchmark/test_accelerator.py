"""The check of an accelerator: its limits, its refusals, and a whole dry run on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mixpro_bench.benchmark.accelerator import check, main
from mixpro_bench.benchmark.accelerator_steps import Step, steps

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools/accelerator_check.sh"


def script(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(SCRIPT), *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable, **environment}
    )


def read(output: Path) -> dict:
    return {"said": output.read_text().split()}


def part(name: str, program: str, limit: float = 60) -> Step:
    return Step(name, (sys.executable, "-c", program), limit, read, lambda result: " ".join(result["said"]))


def test_parts_succeed_fail_and_run_out_of_time_each_for_itself(tmp_path, capsys):
    child = tmp_path / "child"
    hangs = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(child)!r}, 'w').write(str(p.pid)); print('begun', flush=True); time.sleep(600)"
    )
    parts = [
        part("good", "print('fine')"),
        part("bad", "import sys; print('half'); sys.exit('broken on purpose')"),
        part("slow", hangs, limit=3),
        Step("mute", (sys.executable, "-c", "print('x')"), 60, lambda output: {}, lambda result: result["rows"]),
    ]
    assert check("cpu", tmp_path / "out", parts=lambda device, work: parts) == 1
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    states = {name: step["state"] for name, step in summary["steps"].items()}
    assert states == {"good": "ok", "bad": "failed (1)", "slow": "out of time", "mute": "failed"}
    assert json.loads((tmp_path / "out/slow.json").read_text())["result"] == {"said": ["begun"]}
    assert 3 <= summary["steps"]["slow"]["seconds"] < 15
    log = (tmp_path / "out/log.txt").read_text()
    assert "broken on purpose" in log
    assert "NOT ALL PARTS SUCCEEDED" in capsys.readouterr().out
    for _ in range(50):
        state = Path(f"/proc/{child.read_text()}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.1)
    else:
        pytest.fail("what the hanging part had started lives on")


def test_what_no_time_is_left_for_is_not_begun(tmp_path):
    parts = [part("first", "import time; time.sleep(2)"), part("second", "print(1)")]
    assert check("cpu", tmp_path, budget=6, parts=lambda device, work: parts) == 1
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [step["state"] for step in summary["steps"].values()] == ["ok", "no time left"]


def test_the_limits_of_all_parts_fit_into_nine_minutes(tmp_path, monkeypatch):
    monkeypatch.delenv("MIXPRO_DATA_ROOT", raising=False)
    for device in ("cuda", "cpu"):
        (work := tmp_path / device).mkdir()
        made = steps(device, work)
        assert sum(step.limit for step in made) <= 530
        assert [step.name for step in made] == ["env", "tests", "step", "mixing", "chain"]
    assert "256" in steps("cuda", tmp_path)[2].command
    assert "demo.py" in steps("cuda", tmp_path)[4].command[4]
    for name in ("imagenette128", "coco_subset", "camvid"):
        (tmp_path / "photographs" / name).mkdir(parents=True)
    monkeypatch.setenv("MIXPRO_DATA_ROOT", str(tmp_path / "photographs"))
    assert "real_small.py" in steps("cuda", tmp_path)[4].command[4]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so_in_one_sentence(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "sees no CUDA device here" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_wrong_words_and_a_python_without_packages(tmp_path):
    bare = script("--out", tmp_path, PYTHON=os.path.realpath(sys.executable), PYTHONNOUSERSITE="1")
    assert bare.returncode == 2
    assert "lacks " in bare.stderr
    assert "setup_env.sh" in bare.stderr
    assert len(bare.stderr.splitlines()) == 1
    none = script("--out", tmp_path, PYTHON="no-such-python")
    assert (none.returncode, "there is no 'no-such-python'" in none.stderr) == (2, True)
    assert script("--out", tmp_path, "--wheels").returncode == 2
    assert "--out" in script("--device", "cpu").stderr
    (tmp_path / "file").touch()
    assert main(["--out", str(tmp_path / "file/out"), "--device", "cpu"]) == 2


@pytest.mark.mm
@pytest.mark.slow
def test_a_dry_run_leaves_all_results(tmp_path):
    done = script("--out", tmp_path / "out", "--device", "cpu")
    log = (tmp_path / "out/log.txt").read_text()
    assert done.returncode == 0, done.stdout + log
    # Few and flat, so that they can be carried off as they are.
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("summary.json", "log.txt", "env.json", "tests.json", "step.json", "mixing.json", "chain.json")
    }
    results = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")}
    assert all(step["state"] == "ok" for step in results["summary"]["steps"].values())
    assert results["tests"]["result"]["tests"] >= 5
    assert [row["method"] for row in results["step"]["result"]["rows"]] == ["none", "mixpro"]
    assert {one["stage"] for one in results["chain"]["result"]["records"]} == {"pretrain", "seg"}
    assert "all parts succeeded" in done.stdout
