"""The same chain as real_small.py at a size that can give an answer: three methods, three seeds, longer schedules.

Command: MIXPRO_DATA_ROOT=... mixpro-bench suite configs/suites/real_answer.py --work-dir work_dirs/real_answer
Cost:    33 runs on one GPU.
"""

_base_ = "real_small.py"

name = "real_answer"
seeds = [0, 1, 2]
