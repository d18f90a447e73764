"""The same chain as real_small.py at a size that can give an answer: three methods, three seeds, longer schedules.

Command: MIXPRO_DATA_ROOT=... mixpro-bench suite configs/suites/real_answer.py --work-dir work_dirs/real_answer
Cost:    33 runs on one GPU.
"""

_base_ = "real_small.py"

name = "real_answer"
seeds = [0, 1, 2]
jobs = 3
pretrain = dict(
    options={
        "bench.protocol": "answer-cls",
        "train_cfg.max_epochs": 100,
        "train_cfg.val_interval": 100,
        "param_scheduler.0.end": 5,
        "param_scheduler.1.begin": 5,
        "param_scheduler.1.end": 100,
        "param_scheduler.1.T_max": 95,
    }
)
transfer_options = {
    "train_cfg.max_iters": 4000,
    "train_cfg.val_interval": 4000,
    "param_scheduler.0.end": 200,
    "param_scheduler.1.begin": 200,
    "param_scheduler.1.end": 4000,
    "param_scheduler.1.T_max": 3800,
}
tasks = dict(
    det=dict(options={"bench.protocol": "answer-det", **transfer_options}),
    seg=dict(options={"bench.protocol": "answer-seg", **transfer_options}),
)
del transfer_options
