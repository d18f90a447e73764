"""setup.py, the locks and the repository agree with each other."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mixpro_bench

ROOT = Path(__file__).resolve().parents[2]
MINORS = ("3.10", "3.11", "3.12")


def lock_of(minor: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"lock-py{minor.replace('.', '')}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


# The choice the lock did not make, and services that one has to have an account or a server for.
LEFT_OUT = ("mmcv", "mlflow", "wandb")


@pytest.fixture(scope="module")
def requirements() -> list[Requirement]:
    """What the installed package says it requires, extras included."""
    return [Requirement(line) for line in importlib.metadata.requires("mixpro-bench") or []]


@pytest.mark.parametrize("minor", MINORS)
def test_a_lock_satisfies_the_metadata(requirements: list[Requirement], minor: str) -> None:
    lock = lock_of(minor)
    assert requirements
    for requirement in requirements:
        if any(f'extra == "{extra}"' in str(requirement.marker) for extra in LEFT_OUT):
            continue
        name = canonicalize_name(requirement.name)
        assert name in lock, f"{name} is not in the lock"
        assert requirement.specifier.contains(lock[name]), f"{requirement} refuses {lock[name]}"


@pytest.mark.parametrize("minor", MINORS)
def test_a_lock_holds_the_known_set_and_nothing_that_clashes_with_it(minor: str) -> None:
    lock = lock_of(minor)
    known = {"torch": "2.11.0", "torchvision": "0.26.0", "mmengine": "0.10.7", "mmcv-lite": "2.1.0"}
    known |= {"mmdet": "3.3.0", "mmsegmentation": "1.2.2", "timm": "1.0.31"}
    assert {name: lock.get(name) for name in known} == known
    assert "opencv-python-headless" in lock
    assert not {"opencv-python", "mmcv"} & lock.keys()


@pytest.mark.parametrize("minor", MINORS)
def test_a_lock_names_no_place(minor: str) -> None:
    text = (ROOT / "requirements" / f"lock-py{minor.replace('.', '')}.txt").read_text()
    assert not re.search(r"https?://|file:|--(extra-)?index|--find-links| @ ", text)


def test_neither_mmcv_is_required(requirements: list[Requirement]) -> None:
    hard = {requirement.name for requirement in requirements if requirement.marker is None}
    assert not {"mmcv", "mmcv-lite"} & hard


def test_the_version_is_the_packages_own() -> None:
    assert importlib.metadata.version("mixpro-bench") == mixpro_bench.__version__


def test_the_console_script_starts() -> None:
    script = Path(sys.executable).parent / "mixpro-bench"
    result = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert mixpro_bench.__version__ in result.stdout


def test_the_command_line_stays_light() -> None:
    """Help and errors come at once: torch is imported by the command that needs it."""
    code = "import sys, mixpro_bench.cli.main as m; m.build_parser('env'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("script", [*sorted((ROOT / "tools").glob("*.sh")), ROOT / ".ci" / "run"], ids=lambda p: p.name)
def test_shell_scripts_parse(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_ci_can_be_executed() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100
