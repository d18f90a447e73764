"""The demo: does pretraining with MixPro or CutMix help on the built-in digits? One seed, so an example, no answer.

Command: mixpro-bench suite configs/suites/demo.py --work-dir work_dirs/demo
Cost:    20 runs, 7.6 minutes seen on 2 CPU cores.
"""

name = "demo"
data = "digits"
seeds = [0]
methods = ["none", "cutmix", "mixpro"]
scratch = True
jobs = 2
pretrain = dict(config="../pretrain/digits/vit_digits_{method}.py")
tasks = dict(
    det=dict(config="../transfer/det/mask-rcnn_vit-digits_digits.py"),
    seg=dict(config="../transfer/seg/upernet_vit-digits_digits.py"),
)
robustness = dict(parts=["occlusion", "calibration", "knn"], options={"occlusion.draws": 1}, limit=500)
