"""Every preset on the built-in digits: a check that each trains and transfers, no answer about which is better.

TokenMix runs without a teacher (fallback='area'), so its rows speak of its image half only.

Command: mixpro-bench suite configs/suites/methods_demo.py --work-dir work_dirs/methods_demo
Cost:    33 runs, 39 minutes on 2 CPU cores that other work shared.
Result:  docs/methods.md, last section.
"""

name = "methods_demo"
data = "digits"
seeds = [0]
methods = [
    "none",
    "mixup",
    "cutmix",
    "mixup-cutmix",
    "mixpro",
    "mixpro-head",
    "mixpro-fixed",
    "transmix",
    "transmix-b",
    "transmix-fixed",
    "tl-align",
    "tl-align-fixed",
    "tokenmix",
    "tokenmix-fixed",
    "smmix",
    "smmix-fixed",
]
scratch = True
jobs = 2
pretrain = dict(config="../pretrain/digits/vit_digits_{method}.py")
tasks = dict(seg=dict(config="../transfer/seg/upernet_vit-digits_digits.py"))
