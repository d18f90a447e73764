"""Are the packages of the stack there, and in versions that go together? One sentence instead of a traceback if not.

Reason: mmcv and mmcv-lite are two builds of one import, so neither can be a hard requirement of ours; mmdet and mmseg
refuse a wrong mmcv with an assertion; and timm cannot be imported beside a torchvision built for another torch.
Can go when mmcv is one package again and pip can check all of this.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from mixpro_bench.errors import UserError

SET_UP = "'bash tools/setup_env.sh' installs a set that works together"


@dataclass(frozen=True)
class Dependency:
    """A package we import: its name in pip, the versions that work, and what we would install."""

    distribution: str
    versions: str
    install: str


MMCV_VERSIONS = ">=2.0.0rc4,<2.2.0"
# Maintained forks under the same import names, with bounds of their own; taken as they come.
FORKS = {
    "mmengine": "onedl-mmengine",
    "mmcv": "onedl-mmcv",
    "mmdet": "onedl-mmdetection",
    "mmsegmentation": "onedl-mmsegmentation",
}
# Distributions that provide `import mmcv`; installing one over another leaves a mixture of both.
MMCV_DISTRIBUTIONS = ("mmcv", "mmcv-lite", "mmcv-full", FORKS["mmcv"])
MMCV_WAY_OUT = (
    "pip install 'mmcv-lite==2.1.0' (nothing to compile; torchvision's operators stand in) "
    "or 'mmcv==2.1.0' (compiles its own)"
)

TORCH = Dependency("torch", ">=2.6", "torch==2.11.0")
TORCHVISION = Dependency("torchvision", ">=0.21", "torchvision==0.26.0")
TIMM = Dependency("timm", ">=1.0.20,<1.1", "timm==1.0.31")
MMENGINE = Dependency("mmengine", ">=0.10.7,<0.11", "mmengine==0.10.7")
MMDET = Dependency("mmdet", ">=3.3,<3.4", "mmdet==3.3.0")
MMSEG = Dependency("mmsegmentation", ">=1.2.2,<1.3", "mmsegmentation==1.2.2")


def require_mmcv() -> str:
    """Check that exactly one mmcv is installed and that mmdet and mmseg take its version; return the version.

    Raises:
        UserError: There is none, there are two, or its version does not fit.
    """
    found = {name: version for name in MMCV_DISTRIBUTIONS if (version := installed_version(name)) is not None}
    if not found:
        raise UserError(f"mmcv is not installed: {MMCV_WAY_OUT}")
    if len(found) > 1:
        names = " and ".join(found)
        raise UserError(
            f"{names} are installed together and overwrite each other's files: "
            f"pip uninstall {' '.join(found)}, then {MMCV_WAY_OUT}"
        )
    ((name, version),) = found.items()
    if name != FORKS["mmcv"] and not _fits(version, MMCV_VERSIONS):
        raise UserError(f"{name} {version} is installed, but mmdet and mmseg take {MMCV_VERSIONS} only: {MMCV_WAY_OUT}")
    return version


def require_mmengine() -> str:
    """Check mmengine and return its version; raises UserError."""
    return _require(MMENGINE)


def require_mmdet() -> str:
    """Check mmdet with the mmcv it needs and return its version; raises UserError."""
    require_mmcv()
    return _require(MMDET)


def require_mmseg() -> str:
    """Check mmsegmentation with the mmcv it needs and return its version; raises UserError."""
    require_mmcv()
    return _require(MMSEG)


def require_timm() -> str:
    """Check timm with the torchvision it needs and return its version; raises UserError."""
    require_torchvision()
    return _require(TIMM)


def require_torchvision() -> str:
    """Check that torchvision belongs to the installed torch and that its operators load; return its version.

    Raises:
        UserError: One of the two is missing, torchvision was built for another torch, or its operators do not load
            (a CUDA build beside a CPU build looks right by its version).
    """
    torch = _require(TORCH)
    version = _require(TORCHVISION)
    pair = f"install the two as a pair, e.g. '{TORCH.install}' '{TORCHVISION.install}'; {SET_UP}"
    needed = _torch_needed_by_torchvision()
    if not _fits(torch, needed):
        raise UserError(f"torchvision {version} is built for torch{needed}, but torch {torch} is installed: {pair}")
    try:
        importlib.import_module("torchvision")
    except (RuntimeError, ImportError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"torchvision {version} cannot be imported beside torch {torch} ({reason}): {pair}") from error
    return version


def require_for(task: str) -> None:
    """Check everything a run of ``task`` imports.

    Args:
        task: ``pretrain``, ``det`` or ``seg``.

    Raises:
        UserError: Something is missing or does not fit.
    """
    require_mmengine()
    require_timm()
    if task == "det":
        require_mmdet()
    elif task == "seg":
        require_mmseg()


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, without importing it; None where there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _require(dependency: Dependency) -> str:
    version = installed_version(dependency.distribution)
    if version is None:
        fork = installed_version(FORKS.get(dependency.distribution, dependency.distribution))
        if fork is not None:
            return fork
        raise UserError(f"{dependency.distribution} is not installed: pip install '{dependency.install}'; {SET_UP}")
    if not _fits(version, dependency.versions):
        raise UserError(
            f"{dependency.distribution} {version} is installed, but {dependency.versions} is needed: "
            f"pip install '{dependency.install}'; {SET_UP}"
        )
    return version


def _fits(version: str, versions: str) -> bool:
    """Compare by the public part: 2.11.0+cu130 is 2.11.0. Pre-releases are looked at like any other version."""
    return SpecifierSet(versions).contains(Version(version).public, prereleases=True)


def _torch_needed_by_torchvision() -> str:
    """Return torchvision's own requirement on torch, such as ``==2.11.0``; empty where it states none."""
    for line in metadata.requires("torchvision") or []:
        requirement = Requirement(line)
        if requirement.name == "torch":
            return str(requirement.specifier)
    return ""
