"""Pretraining on photographs of 64 pixels with MixPro (MaskMix and PAL; Mixup and CutMix on the other steps).

Command: mixpro-bench suite configs/suites/real_small.py --work-dir work_dirs/real_small
"""

_base_ = "vit_small_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=16))
