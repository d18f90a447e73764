"""Train a toy in a work dir and have it tracked: ``python tracked.py DIR TRACKER [TRACKER]``."""

from __future__ import annotations

import sys

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.registry import RUNNERS
from torch import nn

from mixpro_bench import compat

BENCH = {"task": "pretrain", "method": "mixpro", "preset": "mixpro", "backbone": "toy", "protocol": "toy", "version": 2}


class Toy(BaseModel):
    """A linear layer that says how far it trusts itself."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, inputs, mode="tensor"):
        loss = self.linear(torch.stack(list(inputs))).square().mean()
        return {"loss": loss, "mix/factor": loss.detach() / 2} if mode == "loss" else [loss]


class Fixed(Evaluator):
    """Says fixed numbers, and a text as mmdet's does."""

    def __init__(self) -> None:
        super().__init__([])

    def process(self, data_samples, data_batch=None) -> None:
        pass

    def evaluate(self, size):
        return {"top1": 90.0, "copypaste": "0.1 0.2"}


def main(work_dir: str, *track: str) -> None:
    compat.install()
    data = [{"inputs": torch.full((2,), float(i))} for i in range(8)]
    loader = {"dataset": data, "batch_size": 4, "num_workers": 0}
    cfg = Config({"bench": BENCH, "track": list(track), "work_dir": work_dir, "custom": {"long": "x" * 9000}})
    RUNNERS.get("mixpro_bench.Runner")(
        model=Toy(),
        work_dir=work_dir,
        train_dataloader=dict(loader, sampler={"type": "InfiniteSampler", "shuffle": True}),
        train_cfg={"type": "IterBasedTrainLoop", "max_iters": 4, "val_interval": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01}},
        val_dataloader=dict(loader, sampler={"type": "DefaultSampler", "shuffle": False}),
        val_cfg={},
        val_evaluator=Fixed(),
        default_hooks={"logger": {"type": "LoggerHook", "interval": 1}},
        custom_hooks=[{"type": "mixpro_bench.RecordHook"}],
        default_scope="mixpro_bench",
        cfg=cfg,
    ).train()


if __name__ == "__main__":
    main(*sys.argv[1:])
