"""Where a result comes from: the commit, the packages and the device of this process."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import mixpro_bench

PACKAGES = (
    "mixpro_bench",
    "torch",
    "torchvision",
    "timm",
    "mmengine",
    "mmcv",
    "mmcv-lite",
    "mmdet",
    "mmsegmentation",
    "numpy",
    "pillow",
    "pycocotools",
    "faster-coco-eval",
)


def code_version() -> tuple[str, bool]:
    """Return the commit the package's code lies in, and whether its files differ from that commit.

    Without git, or where the package was installed rather than cloned, the package's version stands for the commit.
    Only files of the package count as differences: the config of a run is hashed by itself.
    """
    folder = Path(mixpro_bench.__file__).resolve().parent

    def git(*words: str) -> str:
        # Reading must not take the index lock: other runs of a suite ask at the same time.
        command = ["git", "--no-optional-locks", "-C", str(folder), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()

    try:
        # An environment inside some other project's checkout must not report that project's commit.
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return f"v{mixpro_bench.__version__}", False


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a result, those that are installed."""
    import torch

    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    versions["torch"] = str(torch.__version__)  # which, unlike the metadata, tells the build: +cpu, +cu130
    return versions


def device_name() -> str:
    """Return the name of the accelerator this process uses, or of the processor."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"cpu ({platform.processor() or platform.machine()}, {torch.get_num_threads()} threads)"
