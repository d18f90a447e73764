"""``mixpro-bench``: finds the sub-command, runs it, and turns a `UserError` into one sentence and exit status 2."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from mixpro_bench import __version__
from mixpro_bench.errors import UserError

# Sub-command -> (module, one line of help). A module is imported only when its command is called.
COMMANDS = {
    "pretrain": ("pretrain", "pretrain a backbone with a mixing method"),
    "transfer": ("transfer", "train a detector or a segmenter on pretrained weights"),
    "suite": ("suite", "run every pretraining and transfer of a suite and end with the leaderboard"),
    "status": ("status", "show what is done, running, failed and waiting in a work dir"),
    "watch": ("watch", "watch the runs of a suite in the terminal, live"),
    "evaluate": ("evaluate", "evaluate a finished run again, keep its predictions, draw some of them"),
    "robustness": ("robustness", "measure occlusion, corruptions, calibration, probes and more of pretrained weights"),
    "leaderboard": ("leaderboard", "turn a folder of Records into tables"),
    "record": ("record", "show or check Records, or say what differs between two runs"),
    "submit": ("submit", "add a Record to a results file kept in git, or check such files"),
    "methods": ("methods", "list every mixing method, label method and preset with its source"),
    "systems": ("systems", "list every backbone with its sizes and sources, or check that it is what the list says"),
    "browse": ("browse", "draw what a config mixes: images, mask, importance and labels"),
    "benchmark": (
        "benchmark",
        "measure what mixing costs, and what a step of every system costs at detection's image size",
    ),
    "teacher-maps": ("teacher_maps", "store a teacher's scores of every training picture, for TokenMix"),
    "configs": ("configs", "list the configs there are by task, backbone, method and protocol"),
    "make-data": ("make_data", "write the built-in digits data in ImageFolder, COCO and ADE20K layout"),
    "check-data": ("check_data", "say what is there, missing or wrong in ImageNet, COCO or ADE20K on disk"),
    "export": ("export", "convert weights to and from timm, mmseg and safetensors"),
    "env": ("env", "show package versions, devices and the operator backend"),
}


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Build the parser; only the arguments of ``command`` are filled in, so that the others stay unimported."""
    parser = argparse.ArgumentParser(prog="mixpro-bench", description=importlib.import_module("mixpro_bench").__doc__)
    parser.add_argument("--version", action="version", version=f"mixpro-bench {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        sub = commands.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        if name == command:
            implementation = importlib.import_module(f"mixpro_bench.cli.{module}")
            implementation.add_arguments(sub)
            sub.set_defaults(run=implementation.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 done, 1 a run failed, 2 a wrong input."""
    # mmengine 0.10 imports pkg_resources; that is known, and nothing a user could act on.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    argv = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in argv if not word.startswith("-")), None)
    args = build_parser(command).parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except UserError as error:
        print(f"mixpro-bench: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("mixpro-bench: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
