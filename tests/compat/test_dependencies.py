"""The sentences about missing and clashing packages, read from real metadata in a folder of their own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mixpro_bench.compat import dependencies
from mixpro_bench.errors import UserError

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """An environment of the standard library alone, and a function that puts a distribution into it."""
    standard = [entry for entry in sys.path if "site-packages" not in entry]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *standard])
    importlib.invalidate_caches()

    def add(name: str, version: str, *requires: str, code: str | None = None) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {line}" for line in requires), ""]))
        if code is not None:
            (tmp_path / f"{name}.py").write_text(code)
            monkeypatch.delitem(sys.modules, name, raising=False)
            importlib.invalidate_caches()

    return add


def test_the_environment_of_the_tests_is_complete() -> None:
    for task in ("pretrain", "det", "seg"):
        dependencies.require_for(task)


def test_no_mmcv_names_both_ways_out(install: Install) -> None:
    with pytest.raises(UserError, match=r"mmcv is not installed: .*mmcv-lite==2\.1\.0.*mmcv==2\.1\.0"):
        dependencies.require_mmdet()


@pytest.mark.parametrize("name", ["mmcv", "mmcv-lite"])
def test_either_mmcv_will_do(install: Install, name: str) -> None:
    install(name, "2.1.0")
    assert dependencies.require_mmcv() == "2.1.0"


@pytest.mark.parametrize("version", ["2.0.0rc4", "2.0.1", "2.1.0"])
def test_mmcv_versions_that_fit(install: Install, version: str) -> None:
    install("mmcv", version)
    assert dependencies.require_mmcv() == version


@pytest.mark.parametrize("version", ["1.7.2", "2.0.0rc3", "2.2.0"])
def test_mmcv_versions_that_do_not_fit(install: Install, version: str) -> None:
    install("mmcv", version)
    with pytest.raises(UserError, match=f"mmcv {version} is installed, but mmdet and mmseg take"):
        dependencies.require_mmcv()


def test_two_mmcvs_overwrite_each_other(install: Install) -> None:
    install("mmcv", "2.1.0")
    install("mmcv-lite", "2.1.0")
    with pytest.raises(UserError, match="pip uninstall mmcv mmcv-lite"):
        dependencies.require_mmcv()


def test_missing_and_old_packages(install: Install) -> None:
    install("mmcv-lite", "2.1.0")
    install("mmdet", "2.28.2")
    with pytest.raises(UserError, match=r"mmdet 2\.28\.2 is installed, but >=3\.3,<3\.4 is needed"):
        dependencies.require_mmdet()
    with pytest.raises(UserError, match="mmsegmentation is not installed: pip install 'mmsegmentation==1"):
        dependencies.require_mmseg()


def test_the_forks_are_taken_as_they_come(install: Install) -> None:
    install("onedl-mmcv", "2.3.6")
    install("onedl-mmdetection", "3.5.1")
    assert dependencies.require_mmdet() == "3.5.1"


def test_torchvision_built_for_another_torch(install: Install) -> None:
    install("torch", "2.13.0+cpu")
    install("torchvision", "0.26.0", "torch (==2.11.0)")
    with pytest.raises(UserError, match=r"torchvision 0\.26\.0 is built for torch==2\.11\.0, but torch 2\.13\.0\+cpu"):
        dependencies.require_timm()


def test_torchvision_whose_operators_do_not_load(install: Install) -> None:
    install("torch", "2.11.0+cpu")
    install(
        "torchvision", "0.26.0", "torch==2.11.0", code="raise RuntimeError('operator torchvision::nms does not exist')"
    )
    with pytest.raises(UserError, match="torchvision::nms does not exist"):
        dependencies.require_torchvision()
