"""Trains a list of runs one after the other in this process: ``train.py LIST.json``; for torchrun too.

Starting torchrun and importing everything takes longer than all the steps. The list holds the command lines of
``mixpro-bench``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mixpro_bench import launch
from mixpro_bench.cli.main import main

if __name__ == "__main__":
    # torchrun's store keeps the addresses of a group that is gone, so the group of the first run serves all.
    launch._leave_group = lambda: None
    for words in json.loads(Path(sys.argv[1]).read_text()):
        if main(words):
            sys.exit(f"failed: {words}")
