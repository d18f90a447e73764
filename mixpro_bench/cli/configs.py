"""``mixpro-bench configs``: the configs there are, and the combinations left out."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--dir", help="the configs folder (default: ./configs, or the one beside the package)")
    parser.add_argument("--task", choices=("pretrain", "det", "seg"), help="only this task")
    parser.add_argument("--backbone", help="only this backbone")


def run(args: argparse.Namespace) -> int:
    """Print task, backbone, method, protocol and file of every config."""
    from mixpro_bench.config_index import LEFT_OUT, as_rows, list_configs

    rows = as_rows(
        [
            entry
            for entry in list_configs(args.dir)
            if args.task in (None, entry.task) and args.backbone in (None, entry.backbone)
        ]
    )
    left_out = [asdict(one) for one in LEFT_OUT]
    if args.json:
        print(json.dumps({"configs": rows, "left_out": left_out}, indent=2))
        return 0
    from tabulate import tabulate

    print(tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True))
    print(f"\n{len(rows)} configs; left out of pretraining:")
    print(tabulate(left_out, headers="keys", tablefmt="simple"))
    return 0
