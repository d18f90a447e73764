"""Which commit this package's code is of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import mixpro_bench


def git_state() -> tuple[str, bool] | None:
    """Return the commit that the package's code lies in and whether its files differ from it; None outside a checkout.

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
        return None
