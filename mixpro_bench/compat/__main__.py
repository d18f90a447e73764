"""``python -m mixpro_bench.compat TOOL [args]`` runs another tool's script, such as mmdet's tools/train.py.

What must be in place before mmdet or mmseg are imported is applied first.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from mixpro_bench import compat


def main() -> None:
    """Run the script named by the first argument as if it had been started itself."""
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
        sys.exit("usage: python -m mixpro_bench.compat TOOL [args], where TOOL is a script such as tools/train.py")
    compat.install()
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
