"""Starting a run: from command-line arguments to a config, and from a config to a finished training."""

from __future__ import annotations

import argparse
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mixpro_bench.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

LOCK_NAME = ".lock"


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every run can be told beside its config; the sub-command adds ``config`` itself."""
    from mixpro_bench.compat import quiet

    quiet.install()
    from mmengine.config import DictAction

    parser.add_argument("--work-dir", metavar="DIR", help="where the run writes (default: work_dirs/<name of config>)")
    parser.add_argument("--seed", type=int, help="the run's seed (default: the config's)")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from the last checkpoint in the work dir, or from this one",
    )
    parser.add_argument(
        "--resume-changed-config",
        action="store_true",
        help="resume although the config is another one than that of the checkpoint; without it such a run is refused",
    )
    parser.add_argument("--amp", action="store_true", help="train under autocast (bfloat16 unless the config says)")
    parser.add_argument(
        "--global-batch",
        type=int,
        metavar="N",
        help="images per optimizer step, dealt out to the processes and accumulated passes there are "
        "(default: the config's train_dataloader.batch_size for each)",
    )
    parser.add_argument(
        "--track",
        action="append",
        choices=("tensorboard", "mlflow", "wandb"),
        help="write the curves there too; may be given again (default: the config's `track`)",
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change the config, such as a.b=3"
    )
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch", "slurm", "mpi"),
        help="who started the processes (default: pytorch under torchrun, else none)",
    )


def prepare(args: argparse.Namespace) -> Config:
    """Make the config of a run out of the arguments of `add_run_arguments` and ``args.config``.

    Raises:
        UserError: See `load_config`; also a checkpoint to resume from that does not exist, a config that has no
            ``optim_wrapper`` to run under ``--amp``, or a global batch that the processes do not divide.
    """
    from mixpro_bench.config import load_config
    from mixpro_bench.processes import deal_out, launcher_of, process_count

    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = launcher_of(args.launcher)
    if args.work_dir is not None:
        cfg.work_dir = str(args.work_dir)
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(args.config).stem)
    if args.seed is not None:
        cfg.randomness = {**cfg.get("randomness", {}), "seed": args.seed}
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == "auto" else args.resume
        if cfg.load_from is not None and not Path(cfg.load_from).is_file():
            raise UserError(f"--resume names {cfg.load_from}, which does not exist: leave it empty for the last one")
    if args.resume_changed_config:
        cfg.resume_changed_config = True
    if args.track:
        cfg.track = args.track
    if args.amp:
        _use_amp(cfg)
    if args.global_batch is not None:
        deal_out(cfg, args.global_batch, process_count(cfg.launcher))
    return cfg


def check_start(cfg: Config) -> None:
    """Refuse what can be known to fail before anything is built.

    Raises:
        UserError: Packages, data or GPUs are missing.
    """
    from mixpro_bench import compat
    from mixpro_bench.compat.dependencies import require_for
    from mixpro_bench.datasets.fingerprint import check_data
    from mixpro_bench.processes import check_gpus

    require_for(cfg.get("bench", {}).get("task", "pretrain"))
    compat.install()
    check_data(cfg)
    check_gpus(cfg.get("launcher") or "none")


def run_training(cfg: Config) -> None:
    """Train as the config says, alone in its work dir.

    Raises:
        UserError: See `check_start`; also when the work dir is in use, or an input turns out to be wrong while the run
            is built.
    """
    check_start(cfg)
    from mmengine.registry import RUNNERS

    if cfg.get("work_dir") is None:
        raise UserError("the config has no work_dir: set it, or give --work-dir")
    cfg.setdefault("runner_type", "mixpro_bench.Runner")
    with locked(cfg.work_dir), clear_errors():
        try:
            RUNNERS.build(cfg).train()
        finally:
            _leave_group()


@contextmanager
def locked(work_dir: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a work dir for this run; of several processes the first one holds it.

    Raises:
        UserError: Another run holds it, or it cannot be written.
    """
    if _rank() != 0:
        yield
        return
    from filelock import FileLock, Timeout

    folder = Path(work_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_NAME, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise UserError(f"work dir {folder} is in use by another run: wait, or give another --work-dir") from error
    except OSError as error:
        raise UserError(f"work dir {folder} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what a wrong input makes mmengine raise into a `UserError`; other errors pass as they are."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            "the GPU is out of memory: use --amp, lower train_dataloader.batch_size, or keep the images per step and "
            "take them in several passes (--global-batch N --cfg-options optim_wrapper.accumulative_counts=2)"
        ) from error
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        raise UserError(sentence) from error


def _sentence(error: BaseException) -> str | None:
    """Find the sentence for the user in an error and the errors it came from."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    # mmengine raises each error again with the name of the class that was built: the innermost is the plain one.
    for inner in reversed(chain):
        if isinstance(inner, UserError):
            return str(inner)
    full = next((e for e in chain if isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT)), None)
    if full is not None:
        where = f" to write {full.filename}" if full.filename else ""
        return f"there is no room on the disk{where}: make room, and run again with --resume"
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return f"torch.compile failed: leave out compile ({type(error).__name__}: {str(error).strip().splitlines()[0]})"
    text = str(error.args[0]) if error.args else str(error)
    if isinstance(error, KeyError) and (unknown := re.search(r"(\S+) is not in the (\S+) registry", text)):
        return f"the config names the type '{unknown[1]}', which the {unknown[2]} registry does not know"
    if isinstance(error, TypeError) and "unexpected keyword argument" in text:
        return f"the config does not fit: {text}"
    label = re.search(r"Target (\d+) is out of bounds", text) if isinstance(error, IndexError) else None
    if label or "device-side assert" in text:
        which = (
            f"label {label[1]}, for which the model has no class" if label else "an index out of range, mostly a label"
        )
        return f"training stopped at {which}: 'mixpro-bench check-data' says which files hold wrong labels"
    if isinstance(error, FileNotFoundError):
        missing = next((e.filename for e in chain if isinstance(e, FileNotFoundError) and e.filename), None) or text
        return f"{missing} does not exist: check the data paths in the config"
    return None


def _use_amp(cfg: Config) -> None:
    wrapper = cfg.get("optim_wrapper")
    if wrapper is None:
        raise UserError("--amp needs an optim_wrapper in the config")
    if str(wrapper.get("type", "OptimWrapper")).rsplit(".", 1)[-1] == "OptimWrapper":
        wrapper["type"] = "mixpro_bench.AmpOptimWrapper"


def _rank() -> int:
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))


def _leave_group() -> None:
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
