"""A toy classifier on mmengine's Runner, for the tests of this room; also a script, for torchrun."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import sys
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, RUNNERS
from torch import nn

_count = itertools.count()


@MODELS.register_module(force=True)
class ToyClassifier(BaseModel):
    """Has dropout, so that its training depends on the global generators."""

    def __init__(self, width: int = 8, norm: bool = False) -> None:
        super().__init__()
        middle = [nn.BatchNorm1d(width)] if norm else []
        self.layers = nn.Sequential(nn.Linear(4, width), *middle, nn.Dropout(0.5), nn.Linear(width, 2))

    def init_weights(self) -> None:
        (self.layers[0].weight.data).mul_(1.5)
        print("weights initialised")

    def forward(self, inputs: Any, label: Any = None, mode: str = "tensor") -> Any:
        logits = self.layers(torch.stack(inputs))
        label = torch.as_tensor(label, device=logits.device)
        if mode == "loss":
            hit = (logits.argmax(1) == label).float().mean()
            return dict(loss=nn.functional.cross_entropy(logits.float(), label), hit=hit)
        return [dict(logit=one, label=y) for one, y in zip(logits, label, strict=True)]


@DATASETS.register_module(force=True)
class ToyData(torch.utils.data.Dataset):
    """20 points, augmented by a draw from Python's generator; says how many were read. Those ``poisoned`` are NaN."""

    metainfo = dict(classes=("a", "b"))
    reads = 0

    def __init__(self, poisoned: Sequence[int] = ()) -> None:
        self.poisoned = set(poisoned)

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> dict[str, Any]:
        type(self).reads += 1
        point = torch.randn(4, generator=torch.Generator().manual_seed(index))
        point = point + random.random() + index % 2
        return dict(inputs=point * float("nan") if index in self.poisoned else point, label=index % 2)


@METRICS.register_module(force=True)
class ToyAccuracy(BaseMetric):
    default_prefix = "toy"

    def __init__(self, bonus: float = 0.0) -> None:
        super().__init__()
        self.bonus = bonus

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(float(one["logit"].argmax() == one["label"]) for one in data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        return dict(acc=sum(results) / len(results) + self.bonus)


@HOOKS.register_module(force=True)
class StopHook(Hook):
    """Ends the process' training as a kill would, after a number of iterations."""

    priority = "LOWEST"

    def __init__(self, after: int) -> None:
        self.after = after

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter + 1 == self.after:
            raise InterruptedError


def config(work_dir: Any, **changes: Any) -> Config:
    """A run of ten iterations; ``changes`` replace top-level keys."""
    validation = dict(
        batch_size=4, num_workers=0, dataset=dict(type="ToyData"), sampler=dict(type="DefaultSampler", shuffle=False)
    )
    return Config(
        dict(
            dict(
                runner_type="mixpro_bench.Runner",
                work_dir=str(work_dir),
                bench=dict(task="pretrain", method="m", preset="p", backbone="b", protocol="t", version=1),
                model=dict(type="ToyClassifier"),
                train_dataloader=dict(
                    batch_size=4,
                    num_workers=0,
                    dataset=dict(type="ToyData"),
                    sampler=dict(type="InfiniteSampler", shuffle=True),
                ),
                train_cfg=dict(type="IterBasedTrainLoop", max_iters=10, val_interval=4),
                val_dataloader=validation,
                val_cfg=dict(),
                val_evaluator=dict(type="ToyAccuracy"),
                optim_wrapper=dict(
                    type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.01), clip_grad=dict(max_norm=1.0)
                ),
                param_scheduler=[dict(type="PolyLR", by_epoch=False, begin=0, end=10)],
                default_hooks=dict(
                    logger=dict(type="LoggerHook", interval=3),
                    checkpoint=dict(type="CheckpointHook", interval=2, max_keep_ckpts=1, save_best="toy/acc"),
                ),
                env_cfg=dict(mp_cfg=dict(mp_start_method="fork"), dist_cfg=dict(backend="nccl")),
                randomness=dict(seed=0),
                log_level="WARNING",
                # mmengine tells the runs of one process apart by this and the second they start in.
                experiment_name=f"toy{next(_count)}",
            ),
            **changes,
        )
    )


def fingerprint(model: nn.Module) -> str:
    """Return a hash of all weights, bit for bit."""
    data = b"".join(value.detach().cpu().numpy().tobytes() for value in model.parameters())
    return hashlib.sha256(data).hexdigest()


def train(cfg: Config, stop: int | None = None) -> Any:
    """Build the Runner as mmdet's and mmseg's tools do, train (``stop`` iterations at most), and return it."""
    cfg.experiment_name = f"toy{next(_count)}"
    runner = RUNNERS.build(cfg)
    if stop is not None:  # not in the config: a run that was stopped is resumed under the config it had
        runner.register_hook(StopHook(stop))
    runner.train()
    return runner


if __name__ == "__main__":
    done = train(config(sys.argv[1], **json.loads(sys.argv[2])), *map(int, sys.argv[3:]))
    print(f"weights {fingerprint(done.model)}", flush=True)
