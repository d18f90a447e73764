"""DeiT-S/16 at paper scale: eight methods, three pretraining seeds, ImageNet-1k, then COCO (1x) and ADE20K (160k).

The data lie where MIXPRO_IMAGENET, MIXPRO_COCO and MIXPRO_ADE20K point (data/imagenet, data/coco and
data/ade/ADEChallengeData2016 if not set), the teacher's maps of TokenMix where MIXPRO_TEACHER_MAPS does.

Command: mixpro-bench suite configs/suites/paper_deit.py --work-dir work_dirs/paper_deit [--dry-run]
Cost: not run here: 78 runs, 6 of them without pretraining.
"""

name = "paper_deit"
seeds = [0, 1, 2]
methods = ["none", "mixup-cutmix", "cutmix", "mixpro", "transmix", "tl-align", "tokenmix", "smmix"]
scratch = True
jobs = 1
pretrain = dict(config="../pretrain/in1k/deit/deit_small_p16_{method}.py")
tasks = dict(
    det=dict(config="../transfer/det/coco/mask-rcnn_deit_small_p16_1x.py"),
    seg=dict(config="../transfer/seg/ade20k/upernet_deit_small_p16_160k.py"),
)
