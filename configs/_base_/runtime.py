"""What every run has in common. Works under the default scopes mixpro_bench, mmdet and mmseg alike.

Whether logs and checkpoints count epochs or iterations follows the training loop. A leaf config sets
``default_hooks.checkpoint.interval``; without it only the last checkpoint is written.
"""

runner_type = "mixpro_bench.Runner"

log_interval = 50
default_hooks = dict(
    runtime_info=dict(type="mixpro_bench.RuntimeInfoHook"),
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=log_interval),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="mixpro_bench.CheckpointHook", interval=-1, max_keep_ckpts=1),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    step_seed=dict(type="mixpro_bench.StepSeedHook"),
    finite=dict(type="mixpro_bench.FiniteHook", max_skipped=10),
    progress=dict(type="mixpro_bench.ProgressHook"),
    record=dict(type="mixpro_bench.RecordHook"),
)
log_processor = dict(
    type="LogProcessor",
    window_size=log_interval,
    # What is shown as the mean over the window; the statistics of mixing vary from step to step.
    mean_pattern=r".*(loss|time|data_time|grad_norm|mix/).*",
)
log_level = "INFO"

env_cfg = dict(
    cudnn_benchmark=False,
    # Workers are forked: they start at once, and share the annotations that are loaded already.
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    # Without a GPU gloo is taken.
    dist_cfg=dict(backend="nccl", timeout=1800),
)
randomness = dict(seed=0)

vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="Visualizer", vis_backends=vis_backends)

load_from = None
resume = False
