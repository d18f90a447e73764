"""One run of a suite: what it is, where it lies, and whether it still has to be done."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mixpro_bench.errors import UserError
from mixpro_bench.files import write_text_atomic
from mixpro_bench.leaderboard.record import RECORD_NAME, Record, read_record

FACTS_NAME = "run.json"

State = Literal["done", "fresh", "resume", "changed"]


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        task: 'pretrain', 'det', 'seg', ...
        method: What it belongs to; 'scratch' for a transfer without pretraining.
        seed: Its seed, and that of the pretraining it needs.
        work_dir: Its own folder.
        facts: What makes a finished run still valid, such as the config's hash and the data's fingerprint.
        needs: Name of the pretraining whose checkpoint it starts from, if any.
        config_text: The resolved config as Python text; written to ``config.py`` in the work dir.
        command: Complete command instead of ``mixpro_bench``'s own; ``{checkpoint}`` stands for the upstream one.
        global_batch: Images per optimizer step, dealt out to however many processes do the run.
    """

    task: str
    method: str
    seed: int
    work_dir: Path
    facts: dict[str, Any] = field(default_factory=dict)
    needs: str | None = None
    config_text: str = ""
    command: Sequence[str] | None = None
    global_batch: int | None = None

    @property
    def name(self) -> str:
        """Name within the suite, which is also its folder: ``det/mixpro/seed0``."""
        return run_name(self.task, self.method, self.seed)

    @property
    def log(self) -> Path:
        """File that takes all the run's output."""
        return self.work_dir / "log.txt"

    @property
    def config(self) -> Path:
        """File of the resolved config."""
        return self.work_dir / "config.py"

    def command_line(self, checkpoint: str | None, *, resume: bool) -> list[str]:
        """Return the command of the run's process.

        Args:
            checkpoint: Checkpoint of the pretraining that it needs.
            resume: Take up a run that was stopped.
        """
        if self.command is not None:
            return [word.replace("{checkpoint}", checkpoint or "") for word in self.command]
        words = [sys.executable, "-m", "mixpro_bench"]
        words += ["pretrain" if self.task == "pretrain" else "transfer", str(self.config)]
        if self.task != "pretrain":
            words.append(checkpoint if checkpoint is not None else "--from-scratch")
        words += ["--work-dir", str(self.work_dir), "--seed", str(self.seed)]
        if self.global_batch is not None:
            words += ["--global-batch", str(self.global_batch)]
        return words + ["--resume"] * resume

    def facts_with(self, upstream: Record | None) -> dict[str, Any]:
        """Return the facts, with the hash of the upstream checkpoint among them."""
        return {**self.facts, "seed": self.seed, "upstream": upstream and upstream.provenance.checkpoint_sha256}

    def state(self, upstream: Record | None) -> State:
        """Say what there is of this run.

        Returns:
            'done': its Record exists, and config, data, seed and upstream weights are those of the plan;
            'resume': begun under the same facts; 'changed': begun or finished under others; 'fresh': nothing there.
        """
        try:
            facts = json.loads((self.work_dir / FACTS_NAME).read_text(encoding="utf-8"))
        except FileNotFoundError:
            occupied = self.work_dir.is_dir() and any(self.work_dir.iterdir())
            return "changed" if occupied else "fresh"
        except ValueError:
            return "changed"
        if facts != json.loads(json.dumps(self.facts_with(upstream))):
            return "changed"
        record = self.record()
        if record is None:
            return "resume"
        # The facts are what was ordered; the Record is what was run.
        if self.needs is not None and record.provenance.upstream_sha256 != facts["upstream"]:
            return "changed"
        if self.task == "pretrain" and not checkpoint_of(record, self.work_dir):
            return "changed"
        return "done"

    def record(self) -> Record | None:
        """Return the run's Record, None if there is none that can be read."""
        try:
            return read_record(self.work_dir / RECORD_NAME)
        except UserError:
            return None

    def begin(self, upstream: Record | None) -> None:
        """Write config and facts into the work dir, before the process starts."""
        write_text_atomic(self.config, self.config_text)
        write_text_atomic(self.work_dir / FACTS_NAME, json.dumps(self.facts_with(upstream), indent=2) + "\n")


def run_name(task: str, method: str, seed: int) -> str:
    """Return the name of a run: ``task/method/seed<k>``."""
    return f"{task}/{method}/seed{seed}"


def checkpoint_of(record: Record, work_dir: Path) -> Path | None:
    """Return the checkpoint a Record names, also when the work dir has been moved since; None if it is gone."""
    if record.provenance.checkpoint is None:
        return None
    named = Path(record.provenance.checkpoint)
    return next((path for path in (work_dir / named.name, named) if path.is_file()), None)


def set_aside(folder: Path, root: Path) -> Path:
    """Move the folder of a run that no longer counts to ``root/_superseded``, where no leaderboard looks."""
    name = "-".join(folder.relative_to(root).parts)
    target = next(
        path for number in range(1, 1_000_000) if not (path := root / "_superseded" / f"{name}-{number}").exists()
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    return folder.rename(target)
