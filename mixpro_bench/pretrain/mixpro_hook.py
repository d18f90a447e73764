"""The hook that owns the life of mixing in a run: when it is on, where the run is, and what is counted."""

from __future__ import annotations

from collections import Counter

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mixpro_bench.errors import UserError
from mixpro_bench.mixing.policy import MixPolicy, Place
from mixpro_bench.registry import HOOKS


@HOOKS.register_module()
class MixProHook(Hook):
    """Switches mixing on and off, tells the model where the run is, and checks the set-up before training.

    The statistics that labelers return (area lambda, attention lambda, progressive factor, ...) are among the logged
    values as ``mix/...``; the number of steps that each branch ran is kept in the message hub and in checkpoints.

    Args:
        start_epoch: First epoch with mixing.
        off_last_epochs: Epochs at the end that train on unmixed images.

    Raises:
        UserError: If an argument is negative.
    """

    priority = "ABOVE_NORMAL"
    checkpoint_key = "mixpro_hook"

    def __init__(self, start_epoch: int = 0, off_last_epochs: int = 0) -> None:
        if start_epoch < 0 or off_last_epochs < 0:
            raise UserError(
                f"MixProHook start_epoch={start_epoch}, off_last_epochs={off_last_epochs}: both are counted from 0"
            )
        self.start_epoch = start_epoch
        self.off_last_epochs = off_last_epochs
        self.branch_steps: Counter[str] = Counter()

    def before_train(self, runner) -> None:
        """Refuse a run whose batches do not fit its mixing.

        Raises:
            UserError: Naming the config key.
        """
        model = _model(runner)
        if not isinstance(getattr(model, "policy", None), MixPolicy):
            raise UserError(f"MixProHook found no mixing policy in {type(model).__name__}: give model.policy")
        check_batches(model.policy, runner.train_dataloader)

    def before_train_epoch(self, runner) -> None:
        """Switch mixing on or off for the epoch."""
        last = runner.max_epochs - self.off_last_epochs
        _model(runner).mixing = self.start_epoch <= runner.epoch < last

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Tell the model where the run is."""
        model = _model(runner)
        model.place = Place(runner.seed, runner.iter, get_rank(), get_world_size())
        if model.mixing:
            self.branch_steps[model.policy.choose(model.place).mixer.name] += 1

    def after_train_epoch(self, runner) -> None:
        """Publish the number of steps of each branch."""
        for name, steps in self.branch_steps.items():
            runner.message_hub.update_info(f"mixpro_bench/steps/{name}", steps)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep the counts across a resume."""
        checkpoint[self.checkpoint_key] = dict(self.branch_steps)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Take the counts up again."""
        self.branch_steps = Counter(checkpoint.get(self.checkpoint_key, {}))


def check_batches(policy: MixPolicy, loader) -> None:
    """Refuse batches that mixing groups do not divide, or that cannot be paired.

    Args:
        policy: The mixing policy.
        loader: The training data loader.

    Raises:
        UserError: Naming the config key and the way out.
    """
    batch = loader.batch_size or loader.batch_sampler.batch_size
    sizes = {batch}
    if not getattr(loader, "drop_last", False) and (rest := len(loader.sampler) % batch):
        sizes.add(rest)
    for size in sizes:
        group = policy.mix_group or size
        if size % group:
            raise UserError(
                f"policy.mix_group={group} does not divide a batch of {size} samples: choose a divisor of "
                f"train_dataloader.batch_size={batch} and set train_dataloader.drop_last=True"
            )
        flips = [branch.mixer.name for branch in policy.branches if branch.mixer.pairs == "flip"]
        if flips and group % 2:
            raise UserError(
                f"{flips[0]} pairs samples two by two, but a mixing group would have {group} samples: use an even "
                f"train_dataloader.batch_size and train_dataloader.drop_last=True"
            )


def _model(runner):
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
