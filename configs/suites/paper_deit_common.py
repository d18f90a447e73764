"""paper_deit.py with one branch mix for all methods, so that a difference is the method's own and not its mix's.

Each method's own branch runs on half of the steps, Mixup or CutMix on the other half; mixup-cutmix is the control.

Command: mixpro-bench suite configs/suites/paper_deit_common.py --work-dir work_dirs/paper_deit_common [--dry-run]
Cost: not run here: 69 runs, 6 of them without pretraining.
"""

_base_ = "paper_deit.py"

name = "paper_deit_common"
methods = ["none", "mixup-cutmix", "mixpro", "transmix-common", "tl-align-common", "tokenmix-common", "smmix-common"]
