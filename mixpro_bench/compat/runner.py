"""mmengine's Runner with safe checkpoints, determinism, and a start-up that needs no GPU.

Reason: see the rooms it puts together (`checkpoint`, `distributed`, `loops`, `runtime_info`, `step_seed`).
Can go when mmengine's Runner reads its own checkpoints under ``weights_only=True`` and takes them apart as hooks.
"""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.model import is_model_wrapper
from mmengine.registry import DATASETS
from mmengine.runner import Runner as EngineRunner
from mmengine.runner.checkpoint import _load_checkpoint_to_model, weights_to_cpu
from torch import nn
from torch.utils.data import DataLoader

from mixpro_bench import __version__
from mixpro_bench.compat.checkpoint import (
    flatten_message_hub,
    latest_checkpoint,
    load_checkpoint,
    restore_message_hub,
    save_checkpoint,
    to_primitives,
)
from mixpro_bench.compat.distributed import init_without_gpu
from mixpro_bench.compat.finite_step import with_fused
from mixpro_bench.compat.loops import skipping_batches
from mixpro_bench.compat.no_detections import measure_nothing_found
from mixpro_bench.compat.resume import refuse_changed_config
from mixpro_bench.compat.runtime_info import RuntimeInfoHook
from mixpro_bench.compat.workers import end_with_run
from mixpro_bench.config import config_hash, recipe_hash
from mixpro_bench.datasets.classes import check_classes
from mixpro_bench.errors import UserError
from mixpro_bench.registry import RUNNERS

# mmengine's types, as inherited configs name them -> ours, which take the same arguments.
_HOOKS = {"RuntimeInfoHook": "mixpro_bench.RuntimeInfoHook", "CheckpointHook": "mixpro_bench.CheckpointHook"}
_LOOPS = {name: f"mixpro_bench.{name}" for name in ("EpochBasedTrainLoop", "IterBasedTrainLoop")}
_WRAPPERS = {"OptimWrapper": "mixpro_bench.OptimWrapper", "AmpOptimWrapper": "mixpro_bench.AmpOptimWrapper"}
# Samplers of training loaders -> whether they go on for ever.
_SAMPLERS = {"DefaultSampler": False, "InfiniteSampler": True}


@RUNNERS.register_module()
class Runner(EngineRunner):
    """Runs a training; every config names it as ``runner_type='mixpro_bench.Runner'``.

    Takes mmengine's arguments. What differs:

    - Checkpoints hold tensors and primitives, are written in one step and read without executing anything; their
      ``meta['mixpro_bench']`` says what was run.
    - Training data are drawn and augmented as a function of (seed, epoch, index), and the global generators are
      reseeded in each step, so a resumed run goes on as if it had never stopped.
    - A run that resumes does not initialise its weights: it needs no pretraining checkpoint any more. Under another
      config than it began with it does not resume, unless ``resume_changed_config=True``.
    - Without a GPU, several processes talk through gloo.
    - ``compile`` compiles the backbone alone.
    - Learning rates scale (``auto_scale_lr``) with the global batch, accumulated steps included.
    - mmengine's hooks, loops and optimizer wrappers are replaced by this room's where it has one of that name.
    """

    _resuming = False

    @cached_property
    def config_sha256(self) -> str:
        """The hash of this run's config."""
        return config_hash(self.cfg)

    @cached_property
    def config_text(self) -> str:
        """This run's config as Python text. Formatting it takes half a second, too much for every checkpoint."""
        return str(self.cfg.pretty_text)

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Join the process group before mmengine tries to with GPUs; then, before anything is written, look back.

        Raises:
            UserError: The run resumes under another config than it began with, and ``resume_changed_config`` is unset.
        """
        init_without_gpu(self._launcher, env_cfg.get("dist_cfg", {}))
        super().setup_env(env_cfg)
        text = self.config_text  # as it is before anything can change the config
        if self.cfg.get("resume") and not self.cfg.get("resume_changed_config"):
            checkpoint = self.cfg.get("load_from") or latest_checkpoint(self.work_dir)
            if checkpoint is not None:
                refuse_changed_config(text, Path(checkpoint), self.world_size)

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Wrap the model for several processes, on whatever device it is."""
        if self.distributed and not is_model_wrapper(model):
            model_wrapper_cfg = dict(
                {"broadcast_buffers": False, "find_unused_parameters": self.cfg.get("find_unused_parameters", False)}
                if model_wrapper_cfg is None
                else model_wrapper_cfg
            )
            model_wrapper_cfg.setdefault("type", "mixpro_bench.DistributedDataParallel")
        return super().wrap_model(model_wrapper_cfg, model)

    def register_default_hooks(self, hooks: dict[str, Any] | None = None) -> None:
        """Register the default hooks, ours in place of mmengine's, and `StepSeedHook`."""
        ours: dict[str, Any] = {
            "runtime_info": {"type": "RuntimeInfoHook"},
            "checkpoint": {"type": "CheckpointHook", "interval": 1},
            "step_seed": {"type": "mixpro_bench.StepSeedHook"},
            **(hooks or {}),
        }
        if ours["step_seed"] is None:
            del ours["step_seed"]
        for name, key in (("checkpoint", "by_epoch"), ("logger", "log_metric_by_epoch")):
            hook = ours.get(name, {"type": "LoggerHook"} if name == "logger" else None)
            if isinstance(hook, dict):
                ours[name] = {key: self._by_epoch(), **hook}
        super().register_default_hooks({name: _renamed(hook, _HOOKS) for name, hook in ours.items()})

    def build_visualizer(self, visualizer: Any = None) -> Any:
        """Build the visualizer, which also writes to what the config's ``track`` names.

        Raises:
            UserError: A tracker is not installed, or cannot be started.
        """
        from mixpro_bench.hooks import tracking

        if visualizer is None or isinstance(visualizer, dict):
            visualizer = tracking.with_trackers(visualizer, self.cfg, self.work_dir)
        built = super().build_visualizer(visualizer)
        tracking.start(built)
        return built

    def build_log_processor(self, log_processor: Any) -> Any:
        """Build the log processor; whether it counts epochs follows the training loop."""
        if isinstance(log_processor, dict):
            log_processor = {"by_epoch": self._by_epoch(), **log_processor}
        return super().build_log_processor(log_processor)

    def _by_epoch(self) -> bool:
        loop = self._train_loop
        if not isinstance(loop, dict):
            return True
        return "Iter" not in loop["type"] if isinstance(loop.get("type"), str) else bool(loop.get("by_epoch", True))

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """Build the optimizer wrapper, ours in place of mmengine's."""
        if isinstance(optim_wrapper, dict) and "optimizer" in optim_wrapper:
            optim_wrapper = _renamed({"type": "OptimWrapper", **optim_wrapper}, _WRAPPERS)
            if isinstance(optim_wrapper["optimizer"], dict):
                optim_wrapper = {**optim_wrapper, "optimizer": with_fused(optim_wrapper["optimizer"], self.model)}
        return super().build_optim_wrapper(optim_wrapper)

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: dict[str, Any] | None = None) -> None:
        """Scale the learning rate with the global batch; mmengine leaves accumulated steps out of it."""
        if auto_scale_lr and auto_scale_lr.get("enable", False):
            accumulated = getattr(optim_wrapper, "_accumulative_counts", 1)
            auto_scale_lr = {**auto_scale_lr, "base_batch_size": auto_scale_lr["base_batch_size"] / accumulated}
        super().scale_lr(optim_wrapper, auto_scale_lr)

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """Build an evaluator that also measures a detector that finds nothing."""
        return measure_nothing_found(super().build_evaluator(evaluator))

    def build_train_loop(self, loop: Any) -> Any:
        """Build the training loop, ours in place of mmengine's."""
        if isinstance(loop, dict):
            loop = dict(loop)
            by_epoch = loop.pop("by_epoch", None)
            if "type" not in loop and by_epoch is not None:
                loop["type"] = "EpochBasedTrainLoop" if by_epoch else "IterBasedTrainLoop"
            loop = _renamed(loop, _LOOPS)
        built = super().build_train_loop(loop)
        check_classes(built.dataloader.dataset, self.model, "train_dataloader")
        return built

    def build_val_loop(self, loop: Any) -> Any:
        """Build the validation loop; its data must be of the classes that are trained."""
        built = super().build_val_loop(loop)
        train = getattr(self._train_loop, "dataloader", None)
        check_classes(built.dataloader.dataset, self.model, "val_dataloader", getattr(train, "dataset", None))
        return built

    def build_dataloader(self, dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False) -> DataLoader:
        """Build a loader whose workers end with the run; that of training is a function of (seed, epoch, index)."""
        if dataloader is self._train_dataloader and isinstance(dataloader, dict):
            dataloader = deterministic(dataloader, int(self.seed))
        loader = EngineRunner.build_dataloader(dataloader, seed=seed, diff_rank_seed=diff_rank_seed)
        end_with_run(loader)
        return loader

    def _maybe_compile(self, target: str) -> None:
        """Compile the backbone where the config says ``compile=True``, or gives arguments of ``torch.compile``.

        mmengine would compile the training step with the optimizer in it. A compiled module keeps its keys, so
        checkpoints are the same with and without.
        """
        options = self.cfg.get("compile")
        if not options:
            return
        model = self.model.module if is_model_wrapper(self.model) else self.model
        getattr(model, "backbone", model).compile(**({} if options is True else options))
        self.logger.info("The backbone is compiled in the first steps, which take minutes.")

    def _init_model_weights(self) -> None:
        if self._resume_from() is None:
            super()._init_model_weights()
        else:
            self.logger.info("The run resumes: its weights come from its own checkpoint, none are initialised.")

    def _resume_from(self) -> Path | None:
        if not self._resume:
            return None
        return Path(self._load_from) if self._load_from is not None else latest_checkpoint(self.work_dir)

    def load_or_resume(self) -> None:
        """Resume from the latest or the named checkpoint, or load the named one."""
        if self._has_loaded:
            return
        resume_from = self._resume_from()
        if resume_from is not None:
            self.resume(str(resume_from))
        elif self._load_from is not None:
            self.load_checkpoint(self._load_from)
        elif self._resume:
            self.logger.info(f"Nothing to resume from in {self.work_dir}: the run starts.")

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "cpu",
    ) -> None:
        """Go on from a checkpoint of this very run.

        Raises:
            UserError: It is no checkpoint of a run, or not of this model.
        """
        self._resuming = True
        try:
            super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)
        finally:
            self._resuming = False

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = [(r"^module\.", "")],  # noqa: B006
    ) -> dict[str, Any]:
        """Read a checkpoint safely into the model, and return it; resuming is always strict."""
        checkpoint = load_checkpoint(filename, map_location)
        if self._resuming:
            self._check_resumable(checkpoint, filename)
            strict = True
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        try:
            checkpoint = _load_checkpoint_to_model(model, checkpoint, strict, revise_keys=revise_keys)
        except RuntimeError as error:
            what = " ".join(str(error).split())[:300]
            raise UserError(f"{filename} does not fit the model of this config: {what}") from error
        self._has_loaded = True
        self.logger.info(f"Load checkpoint from {filename}")
        return checkpoint

    def _check_resumable(self, checkpoint: dict[str, Any], filename: str) -> None:
        meta = checkpoint.get("meta")
        if not isinstance(meta, dict) or not {"epoch", "iter"} <= meta.keys() or "message_hub" not in checkpoint:
            raise UserError(f"{filename} holds weights but no state of a run, so a run cannot resume from it")
        meta.pop("config", None)  # mmengine would execute it
        checkpoint["message_hub"] = restore_message_hub(checkpoint["message_hub"])
        # mmengine compares the pickles of both, which differ for equal values.
        current = getattr(self.train_dataloader.dataset, "metainfo", None)
        if current is not None and to_primitives(current, drop=True) == meta.get("dataset_meta"):
            meta["dataset_meta"] = current

    @master_only
    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict[str, Any] | None = None,
        by_epoch: bool = True,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        """Write a checkpoint: ``meta``, ``state_dict``, ``message_hub``, ``optimizer``, ``param_schedulers``.

        Args:
            out_dir: A local folder.
            filename: The file in it.
            file_client_args: Unused: checkpoints are local files.
            save_optimizer: Include the optimizer's state.
            save_param_scheduler: Include the schedulers' state.
            meta: Further entries of ``meta``.
            by_epoch: Whether this is called at the end of an epoch or of an iteration; their counters still stand one
                behind.
            backend_args: Unused.
        """
        for hook in self.hooks:
            if isinstance(hook, RuntimeInfoHook):
                hook.flush(self)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        checkpoint: dict[str, Any] = {
            "meta": self._meta(dict(meta or {}), by_epoch),
            "state_dict": weights_to_cpu(model.state_dict()),
        }
        if save_optimizer:
            checkpoint["optimizer"] = _to_cpu(self.optim_wrapper.state_dict())
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint["param_schedulers"] = _scheduler_states(self.param_schedulers)
        # Hooks exchange entries (EMAHook does) or add their own, and may still tell the message hub something.
        checkpoint["message_hub"] = self.message_hub.state_dict()
        self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        checkpoint["message_hub"] = flatten_message_hub(self.message_hub.state_dict())
        save_checkpoint(checkpoint, Path(out_dir) / filename)

    def _meta(self, meta: dict[str, Any], by_epoch: bool) -> dict[str, Any]:
        meta.setdefault("epoch", self.epoch + 1 if by_epoch else self.epoch)
        meta.setdefault("iter", self.iter if by_epoch else self.iter + 1)
        meta.update(
            cfg=self.config_text,
            seed=self.seed,
            world_size=self.world_size,
            experiment_name=self.experiment_name,
            time=time.strftime("%Y%m%d_%H%M%S"),
            mmengine_version=mmengine.__version__,
            mixpro_bench={
                **self.cfg.get("bench", {}),
                "seed": self.seed,
                "config_sha256": self.config_sha256,
                "recipe_hash": recipe_hash(self.cfg, self.world_size),
                "package_version": __version__,
            },
        )
        dataset_meta = getattr(self.train_dataloader.dataset, "metainfo", None)
        if dataset_meta is not None:
            meta["dataset_meta"] = to_primitives(dataset_meta, drop=True)
        return to_primitives(meta)


def deterministic(dataloader: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the config of a training loader whose order and augmentations are functions of (seed, epoch, index).

    mmengine's DefaultSampler and InfiniteSampler are replaced by `EpochSampler`; others are kept. The dataset is
    wrapped in `SeededDataset`.

    Args:
        dataloader: mmengine's loader config; it is not modified.
        seed: The run's seed.
    """
    dataloader = dict(dataloader)
    sampler = dataloader.get("sampler")
    if isinstance(sampler, dict):
        sampler = dict(sampler)
        name = sampler.get("type")
        short = name.rsplit(".", 1)[-1] if isinstance(name, str) else None
        if short in _SAMPLERS:
            sampler.update(type="mixpro_bench.EpochSampler", infinite=_SAMPLERS[short])
            sampler.pop("_scope_", None)
            short = "EpochSampler"
        if short in ("EpochSampler", "RepeatedSampler"):
            sampler.setdefault("batch_size", dataloader.get("batch_size", 1))
            sampler["seed"] = seed
        dataloader["sampler"] = sampler
    if isinstance(dataloader.get("batch_sampler"), dict):
        dataloader["batch_sampler"] = {"type": skipping_batches, "inner": dataloader["batch_sampler"]}
    if isinstance(dataloader.get("dataset"), dict):
        dataloader["dataset"] = {"type": seeded_dataset, "dataset": dataloader["dataset"], "seed": seed}
    return dataloader


def seeded_dataset(dataset: dict[str, Any], seed: int) -> Any:
    """Build a dataset from its config, load its annotations, and wrap it in `SeededDataset`."""
    from mixpro_bench.datasets.seeding import SeededDataset

    try:
        built = DATASETS.build(dataset)
        if hasattr(built, "full_init"):
            built.full_init()
    except ValueError as error:
        if "need at least one array" not in str(error):  # to concatenate: mmengine's word for no samples
            raise
        raise UserError(
            f"'{dataset.get('ann_file', '')}' holds no annotation of the classes in dataset.metainfo: it is the file "
            "or the class list of another data set, or filter_cfg leaves nothing"
        ) from error
    return built if isinstance(built, SeededDataset) else SeededDataset(built, seed)


def _renamed(cfg: Any, names: dict[str, str]) -> Any:
    """Return a config with its type exchanged, when it is one of ``names``."""
    if isinstance(cfg, dict) and cfg.get("type") in names:
        cfg = {**cfg, "type": names[cfg["type"]]}
        cfg.pop("_scope_", None)
    return cfg


def _scheduler_states(schedulers: Any) -> Any:
    if isinstance(schedulers, dict):
        return {name: [scheduler.state_dict() for scheduler in group] for name, group in schedulers.items()}
    return [scheduler.state_dict() for scheduler in schedulers]


def _to_cpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return type(value)((key, _to_cpu(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return type(value)(_to_cpu(item) for item in value)
    return value
