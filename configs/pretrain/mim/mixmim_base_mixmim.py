"""MixMIM-B on ImageNet-1k for 600 epochs without labels: mixed images, both reconstructed.

The checkpoint goes into transfer as any other does, and into fine-tuning as
model.backbone.init_cfg=dict(type="mixpro_bench.Handover", checkpoint=...) of a classifier's config.

Command: bash tools/pretrain.sh configs/pretrain/mim/mixmim_base_mixmim.py 8
Cost: not run here.
Published: 85.1 % top-1 after this and 100 epochs of fine-tuning (224 px), Sense-X/MixMIM README.
"""

_base_ = [
    "../../_base_/protocols/in1k-mim-600e.py",
    "../../_base_/backbones/mixmim_base.py",
]

bench = dict(backbone="mixmim_base")
model = dict(backbone={**_base_.backbone, "drop_path_rate": 0.0})
