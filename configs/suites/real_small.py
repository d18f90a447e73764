"""The chain on real photographs, small enough for two processor cores: a check that it runs, no answer.

Imagenette -> a subset of COCO with its classes merged to the 12 supercategories, and CamVid; all under the folder
that the environment variable MIXPRO_DATA_ROOT names.

Command: MIXPRO_DATA_ROOT=... mixpro-bench suite configs/suites/real_small.py --work-dir work_dirs/real_small
Cost:    11 runs, 29 minutes seen on 2 CPU cores.
"""

name = "real_small"
seeds = [0]
methods = ["none", "cutmix", "mixpro"]
scratch = True
jobs = 2
pretrain = dict(config="../pretrain/small/vit_small_{method}.py")
tasks = dict(
    det=dict(config="../transfer/det/mask-rcnn_vit-small.py"),
    seg=dict(config="../transfer/seg/upernet_vit-small.py"),
)
data = dict(
    pretrain=dict(root="imagenette128", train="train", val="val"),
    det=dict(
        root="coco_subset",
        train=dict(ann="annotations/instances_train.json", images="train"),
        val=dict(ann="annotations/instances_val.json", images="val"),
        merge="supercategory",
    ),
    seg=dict(
        root="camvid",
        train=("images/training", "annotations/training"),
        val=("images/validation", "annotations/validation"),
        classes="classes.txt",
        reduce_zero_label=True,
    ),
)
