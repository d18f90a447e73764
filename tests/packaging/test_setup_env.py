"""The shared set-up, run for real on a stand-in project with an empty lock: venv, pip and flock are the real ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MINOR = f"py{sys.version_info.major}{sys.version_info.minor}"

# A build backend without dependencies, so that installing the stand-in needs no index.
BACKEND = """
import zipfile
from pathlib import Path

INFO = "standin-1.0.dist-info"

def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "standin-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(directory) / name, "w") as wheel:
        wheel.writestr("standin.py", "WORKS = True")
        wheel.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\\nName: standin\\nVersion: 1.0\\n")
        wheel.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{INFO}/RECORD", "")
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def base_python() -> str:
    """The Python below the virtual environment of the tests: the one a user would have."""
    return os.path.realpath(sys.executable)


def set_up(project: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(project / "tools" / "setup_env.sh")],
        cwd="/",
        env={**os.environ, "PYTHON": base_python(), "PIP_NO_INDEX": "1", **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the real set-up, a trivial package and an empty lock."""
    folder = tmp_path / "a project"  # the space is on purpose
    (folder / "tools").mkdir(parents=True)
    (folder / "requirements").mkdir()
    shutil.copy(ROOT / "tools" / "setup_env.sh", folder / "tools")
    (folder / "requirements" / f"lock-{MINOR}.txt").write_text("# nothing\n")
    (folder / "setup.py").write_text("")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    return folder


@pytest.fixture
def without_pip(project: Path) -> Path:
    """The same with a ready .venv whose pip only writes down that it was called: for what is decided before pip."""
    subprocess.run([base_python(), "-m", "venv", "--without-pip", str(project / ".venv")], check=True)
    (site,) = (project / ".venv").glob("lib/python3*/site-packages")
    (site / "pip.py").write_text(
        "import os, sys, time\n"
        "if 'install' in sys.argv:\n"
        "    with open(os.environ['CALLS'], 'a') as file:\n"
        "        print(*sys.argv[1:], file=file)\n"
        "    time.sleep(float(os.environ.get('PIP_SECONDS', 0)))\n"
        "    sys.exit(int(os.environ.get('PIP_STATUS', 0)))\n"
    )
    return project


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls.txt"


@pytest.mark.slow
def test_a_bare_project_is_set_up_and_then_recognised(project: Path) -> None:
    first = set_up(project)
    assert first.returncode == 0, first.stderr
    python = project / ".venv" / "bin" / "python"
    assert subprocess.run([python, "-c", "import standin; assert standin.WORKS"], check=False).returncode == 0
    second = set_up(project, PYTHON="/nonexistent")
    assert second.returncode == 0
    assert second.stderr == ""


@pytest.mark.slow
def test_an_unfinished_venv_is_made_anew(project: Path) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").symlink_to("/nonexistent/python")
    result = set_up(project)
    assert result.returncode == 0, result.stderr
    assert "unfinished" in result.stderr


def test_pip_is_called_for_the_lock_and_then_for_the_package(without_pip: Path, calls: Path) -> None:
    assert set_up(without_pip, CALLS=str(calls)).returncode == 0
    lock, package = calls.read_text().splitlines()
    assert "--no-deps --only-binary=:all: -r" in lock
    assert lock.endswith(f"lock-{MINOR}.txt")
    assert "--no-deps --no-build-isolation --editable" in package


@pytest.mark.parametrize("name", [f"requirements/lock-{MINOR}.txt", "setup.py", "pyproject.toml"])
def test_a_change_sets_up_again(without_pip: Path, calls: Path, name: str) -> None:
    set_up(without_pip, CALLS=str(calls))
    set_up(without_pip, CALLS=str(calls))
    assert len(calls.read_text().splitlines()) == 2
    with (without_pip / name).open("a") as file:
        file.write("\n# changed\n")
    set_up(without_pip, CALLS=str(calls))
    assert len(calls.read_text().splitlines()) == 4


def test_an_interrupted_set_up_is_taken_up_again(without_pip: Path, calls: Path) -> None:
    set_up(without_pip, CALLS=str(calls))
    (without_pip / "setup.py").write_text("# changed")
    (site,) = (without_pip / ".venv").glob("lib/python3*/site-packages")
    half, whole = site / "half-1.0.dist-info", site / "whole-1.0.dist-info"
    for info, record in ((half, "half.py,,\n"), (whole, "whole.py,,\nwhole-1.0.dist-info/INSTALLER,,\n")):
        info.mkdir()
        (info / "RECORD").write_text(record)
    failed = set_up(without_pip, CALLS=str(calls), PIP_STATUS="7")
    assert failed.returncode == 7
    assert "goes on from here" in failed.stderr
    assert not half.exists()
    assert whole.exists()
    assert set_up(without_pip, CALLS=str(calls)).returncode == 0
    assert set_up(without_pip, CALLS=str(calls)).stderr == ""


def test_two_at_once_install_once(without_pip: Path, calls: Path) -> None:
    command = ["bash", str(without_pip / "tools" / "setup_env.sh")]
    env = {**os.environ, "CALLS": str(calls), "PIP_SECONDS": "0.5"}
    both = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(calls.read_text().splitlines()) == 2
    assert sum("waiting for it" in text for text in said) == 1


def fake_python(folder: Path, name: str, version: str, venv: bool) -> None:
    """A Python that answers the set-up's two questions and makes no environment."""
    minor = version.replace(".", "") if version in ("3.10", "3.11", "3.12") else ""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(
        "#!/bin/sh\n"
        f'case "$2" in *version_info*) echo "{minor}";; *ensurepip*) exit {0 if venv else 1};; '
        f'*) echo "chosen: {name}" >&2; exit 9;; esac\n'
    )
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": ("3.12", True)}, "python3"),
        ({"python3": ("3.13", True), "python3.12": ("3.12", True)}, "python3.12"),
        ({"python3.11": ("3.11", True), "python3.12": ("3.12", True)}, "python3.11"),
        ({"python3.11": ("3.11", False), "python3.10": ("3.10", True)}, "python3.10"),
    ],
)
def test_which_python_is_taken(
    project: Path, tmp_path: Path, pythons: dict[str, tuple[str, bool]], chosen: str
) -> None:
    for name, (version, venv) in pythons.items():
        fake_python(tmp_path / "bin", name, version, venv)
    result = set_up(project, PYTHON="", PATH=only(tmp_path / "bin"))
    assert result.returncode == 9
    assert result.stderr.rstrip().endswith(f"chosen: {chosen}")


@pytest.mark.parametrize(
    ("pythons", "sentence"),
    [
        ({"python3": ("3.13", True)}, "no Python 3.10, 3.11 or 3.12 on PATH"),
        ({}, "no Python 3.10, 3.11 or 3.12 on PATH"),
        ({"python3.11": ("3.11", False)}, "apt-get install python3.11-venv"),
    ],
)
def test_no_python_to_take_is_one_sentence(
    project: Path, tmp_path: Path, pythons: dict[str, tuple[str, bool]], sentence: str
) -> None:
    for name, (version, venv) in pythons.items():
        fake_python(tmp_path / "bin", name, version, venv)
    result = set_up(project, PYTHON="", PATH=only(tmp_path / "bin"))
    assert result.returncode == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (project / ".venv").exists()


def test_a_python_named_but_unfit_is_refused(project: Path) -> None:
    result = set_up(project, PYTHON="/bin/false")
    assert result.returncode == 2
    assert "PYTHON=/bin/false is not a Python" in result.stderr


def only(folder: Path) -> str:
    """A PATH with the given folder and the plain tools the set-up calls, but no Python of the machine."""
    folder.mkdir(exist_ok=True)
    for tool in ("bash", "sh", "cat", "dirname", "sha256sum", "flock", "grep", "rm", "mv"):
        (folder / tool).symlink_to(shutil.which(tool) or "")
    return str(folder)
