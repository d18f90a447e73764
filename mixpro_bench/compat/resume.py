"""Resuming from another config: refused, because nothing of it would show in the results.

Reason: mmengine loads whatever fits the model's shapes and goes on; a changed learning rate, length or data set then
makes a run that no config describes. Can go when mmengine compares the configs.
"""

from __future__ import annotations

from pathlib import Path

from mixpro_bench.compat.checkpoint import load_checkpoint
from mixpro_bench.config_text import changes
from mixpro_bench.errors import UserError

_SHOWN = 8


def refuse_changed_config(config: str, checkpoint: Path, world_size: int) -> None:
    """Compare the config of a run with the one that its checkpoint was written under.

    Args:
        config: Text of the config.
        checkpoint: What the run resumes from. One that does not tell its config is taken as it is.
        world_size: Number of processes.

    Raises:
        UserError: They differ in something that can change what comes out (see `mixpro_bench.config_text.changes`);
            the keys are named.
    """
    meta = load_checkpoint(checkpoint, mmap=True).get("meta")
    if not isinstance(meta, dict) or not isinstance(meta.get("cfg"), str):
        return
    try:
        found = changes(meta["cfg"], config, (int(meta.get("world_size", world_size)), world_size))
    except SyntaxError:
        return
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UserError(
            f"{checkpoint} was written under another config: it differs in {', '.join(found[:_SHOWN])}{more}; give "
            "another --work-dir, or --resume-changed-config (resume_changed_config=True) to go on all the same"
        )
