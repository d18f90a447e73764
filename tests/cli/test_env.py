"""``mixpro-bench env``, as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

import pytest

from mixpro_bench.cli import main

pytestmark = pytest.mark.mm


def env(*words: str, command: tuple[str, ...] = ("-m", "mixpro_bench", "env")) -> str:
    return subprocess.run([sys.executable, *command, *words], capture_output=True, text=True, check=True).stdout


def test_json_is_one_object_with_versions_device_and_backend() -> None:
    facts = json.loads(env("--json"))
    assert facts["packages"]["torch"] == metadata.version("torch")
    assert facts["device"] in ("cpu", "cuda")
    assert (facts["device"] == "cuda") == bool(facts["gpus"])
    assert facts["operator_backend"] in ("mmcv-compiled", "torchvision")
    assert facts["problems"] == []


def test_lines_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["env"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["timm"] == metadata.version("timm")
    assert "operator_backend" in lines


def test_a_missing_package_is_reported_and_not_raised() -> None:
    """mmdet made impossible to import and to find: the command is for exactly such an environment."""
    code = (
        "import sys, importlib.metadata as m; real = m.distribution\n"
        "def hidden(name):\n"
        "    if name == 'mmdet': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.distribution = hidden; m.version = lambda name: hidden(name).version\n"
        "sys.modules['mmdet'] = None\n"
        "from mixpro_bench.cli.main import main; sys.exit(main(['env', '--json']))"
    )
    facts = json.loads(env(command=("-c", code)))
    assert facts["packages"]["mmdet"] is None
    assert any("mmdet is not installed" in problem for problem in facts["problems"])
