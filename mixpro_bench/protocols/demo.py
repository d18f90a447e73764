"""The protocols of the demos and of small real sets: short, for development."""

from __future__ import annotations

from mixpro_bench.protocols.protocol import Protocol, add, epochs

_SHORT = {"optim_wrapper.clip_grad": dict(max_norm=5.0), "optim_wrapper.optimizer.lr": 1e-3}
for _name, _task, _batch, _length in (
    ("digits-cls", "pretrain", 32, epochs(10)),
    # Without labels: configs/pretrain/digits/mixmim_digits_mixmim.py.
    ("digits-mim", "pretrain", 32, epochs(10)),
    ("digits-det", "det", 8, {"train_cfg.max_iters": 100}),
    ("digits-seg", "seg", 8, {"train_cfg.max_iters": 160}),
    ("small-cls", "pretrain", 64, epochs(10)),
    ("small-det", "det", 8, {"train_cfg.max_iters": 160}),
    ("small-seg", "seg", 8, {"train_cfg.max_iters": 160}),
    # To see that a system goes the whole way: configs/suites/systems_demo.py.
    ("systems-cls", "pretrain", 32, epochs(2)),
    ("systems-det", "det", 8, {"train_cfg.max_iters": 50}),
    ("systems-seg", "seg", 8, {"train_cfg.max_iters": 50}),
    # small-*, longer: configs/suites/real_answer.py.
    ("answer-cls", "pretrain", 64, epochs(100)),
    ("answer-det", "det", 8, {"train_cfg.max_iters": 4000}),
    ("answer-seg", "seg", 8, {"train_cfg.max_iters": 4000}),
):
    add(Protocol(_name, 1, _task, _batch, {**_SHORT, **_length}, "this package: a demo", claims=False))
