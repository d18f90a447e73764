"""Swin-T at paper scale: the methods, seeds, tasks and data of paper_deit.py.

Command: mixpro-bench suite configs/suites/paper_swin.py --work-dir work_dirs/paper_swin [--dry-run]
Cost: not run here: 78 runs, 6 of them without pretraining.
"""

_base_ = "paper_deit.py"

name = "paper_swin"
pretrain = dict(config="../pretrain/in1k/swin/swin_tiny_{method}.py")
tasks = dict(
    det=dict(config="../transfer/det/coco/mask-rcnn_swin_tiny_1x.py"),
    seg=dict(config="../transfer/seg/ade20k/upernet_swin_tiny_160k.py"),
)
