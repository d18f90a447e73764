"""Pretraining on photographs of 64 pixels with CutMix.

Command: mixpro-bench suite configs/suites/real_small.py --work-dir work_dirs/real_small
"""

_base_ = "vit_small_none.py"

bench = dict(method="cutmix", preset="cutmix")
model = dict(policy=dict(preset="cutmix"))
