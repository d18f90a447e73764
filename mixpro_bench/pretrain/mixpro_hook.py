"""The hook that owns the life of mixing in a run: when it is on, where the run is, and what is counted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop

from mixpro_bench.errors import UserError
from mixpro_bench.mixing.policy import MixPolicy, Place
from mixpro_bench.pretrain.classifier import MixClassifier, build_policy
from mixpro_bench.pretrain.foreign import ForeignClassifier
from mixpro_bench.pretrain.where import Where
from mixpro_bench.registry import HOOKS


@HOOKS.register_module()
class MixProHook(Hook):
    """Switches mixing on and off, tells the model where the run is, and checks the set-up before training.

    The statistics that labelers return (area lambda, attention lambda, progressive factor, ...) are among the logged
    values as ``mix/...``; the number of steps that each branch ran is kept in the message hub and in checkpoints.

    A `MixClassifier` brings its policy along. Any other classifier is given one here: then the hook takes the place of
    the model's loss in training, and puts it back afterwards. Such a model is an mmengine ``BaseModel`` whose
    ``forward(..., mode='tensor')`` gives logits; what cannot be found in it is named before the first step.

    Args:
        policy: The mixing policy of a classifier that has none; see `build_policy`.
        start_epoch: First epoch with mixing.
        off_last_epochs: Epochs at the end that train on unmixed images.
        **where: Where things are in a classifier that is not this package's; see `Where`.

    Raises:
        UserError: If an argument is negative or unknown, or the policy is wrong.

    Examples:
        In a config of any project::

            custom_hooks = [dict(type='mixpro_bench.MixProHook', policy=dict(preset='mixpro', mask_patch=32))]
    """

    priority = "ABOVE_NORMAL"
    checkpoint_key = "mixpro_hook"
    target: MixClassifier | ForeignClassifier

    def __init__(
        self, policy: dict | None = None, start_epoch: int = 0, off_last_epochs: int = 0, **where: Any
    ) -> None:
        if start_epoch < 0 or off_last_epochs < 0:
            raise UserError(
                f"MixProHook start_epoch={start_epoch}, off_last_epochs={off_last_epochs}: both are counted from 0"
            )
        try:
            self.where = Where(**where)
        except TypeError as error:
            unknown = sorted(set(where) - set(Where.__dataclass_fields__))
            raise UserError(
                f"MixProHook {unknown[0]} is unknown; it takes policy, start_epoch, off_last_epochs, "
                f"{', '.join(Where.__dataclass_fields__)}"
            ) from error
        self.policy = None if policy is None else build_policy(policy)
        self.start_epoch = start_epoch
        self.off_last_epochs = off_last_epochs
        self.branch_steps: Counter[str] = Counter()

    def before_train(self, runner) -> None:
        """Take hold of the model, and refuse a run whose batches do not fit its mixing.

        Raises:
            UserError: Naming the config key.
        """
        if (self.start_epoch or self.off_last_epochs) and isinstance(runner.train_loop, IterBasedTrainLoop):
            raise UserError("MixProHook start_epoch and off_last_epochs count epochs, but train_cfg counts iterations")
        model = model_of(runner)
        own, given = getattr(model, "policy", None), self.policy
        if isinstance(own, MixPolicy):
            if given is not None:
                raise UserError("MixProHook policy and model.policy both say how to mix: leave out the hook's")
            self.target = model
            check_batches(own, runner.train_dataloader)
            check_aux(own, runner.train_dataloader.dataset)
            return
        if given is None:
            raise UserError(
                f"MixProHook found no mixing policy in {type(model).__name__}: give it one, such as "
                "dict(type='mixpro_bench.MixProHook', policy=dict(preset='mixpro'))"
            )
        check_batches(given, runner.train_dataloader)
        self.target = classifier = ForeignClassifier(model, given, self.where)
        if runner.cfg.get("compile") and classifier.needs_attention:
            raise UserError(
                "MixProHook reads attention by a hook, which a compiled model would not call: remove compile"
            )
        with _same_draws_afterwards():
            batch = _two_samples(runner.train_dataloader)
            if batch is not None:
                classifier.prepare(batch)
        classifier.replace()

    def after_train(self, runner) -> None:
        """Give a foreign model its loss back."""
        if isinstance(self.target, ForeignClassifier):
            self.target.restore()

    def before_train_epoch(self, runner) -> None:
        """Switch mixing on or off for the epoch."""
        last = runner.max_epochs - self.off_last_epochs
        self.target.mixing = self.start_epoch <= runner.epoch < last

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Tell the model where the run is."""
        target = self.target
        if isinstance(target, ForeignClassifier) and not target.prepared:
            with _same_draws_afterwards():
                target.prepare(data_batch)
        target.place = place_of(runner)
        if target.mixing:
            self.branch_steps[target.policy.choose(target.place).mixer.name] += 1

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


def place_of(runner) -> Place:
    """Return where a run is. Accumulated passes count as further processes of one step.

    The sampler deals the samples of a step out in the same order, so a batch that is taken in several passes sees the
    draws of one that is taken at once.
    """
    passes = getattr(runner.optim_wrapper, "_accumulative_counts", 1)
    step, number = divmod(runner.iter, passes)
    world_size = get_world_size()
    return Place(runner.seed, step, number * world_size + get_rank(), world_size * passes)


def check_aux(policy: MixPolicy, dataset: Any) -> None:
    """Refuse data that do not bring along what a labeler needs beside images and labels.

    Args:
        policy: The mixing policy.
        dataset: The training data; one that does not say what it brings along (``aux``) is believed to have it.

    Raises:
        UserError: Naming what is missing.
    """
    for name in policy.needs_aux:
        if name not in getattr(dataset, "aux", policy.needs_aux):
            raise UserError(
                f"model.policy needs {name!r} of every picture, and train_dataloader.dataset has none: name the maps "
                "of mixpro-bench teacher-maps in train_dataloader.dataset.teacher_maps, or set policy.teacher or "
                "policy.fallback='area'"
            )


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
    for size in sorted(sizes, reverse=True):
        try:
            policy.check_batch(size)
        except UserError as error:
            last = f" leaves a last batch of {size}: set train_dataloader.drop_last=True" if size != batch else ""
            raise UserError(f"{error}; train_dataloader.batch_size={batch}{last}") from error


def _two_samples(loader) -> Any:
    """Return a batch of the first and the last sample, put together as the loader does; None for data without order.

    Data are often sorted by class, so these two span the class indices.
    """
    try:
        samples = [loader.dataset[i] for i in (0, len(loader.dataset) - 1)]
    except (TypeError, NotImplementedError):
        return None
    return loader.collate_fn(samples)


@contextmanager
def _same_draws_afterwards() -> Iterator[None]:
    """Leave the global generators as they were: a look at the data must not change the run."""
    legacy, python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng():
        yield
    np.random.set_state(legacy)
    random.setstate(python)


def model_of(runner: Any) -> Any:
    """Return the model that is trained, out of what DDP may have put around it."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
