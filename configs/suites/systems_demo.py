"""Every system's tiny variant, pretrained with MixPro on the built-in digits: a check that each goes the whole way.

Two epochs and 50 steps say nothing about which system is better; the variants differ in size besides. One seed.

Command: mixpro-bench suite configs/suites/systems_demo.py --work-dir work_dirs/systems_demo
Cost:    81 runs, 20 minutes seen on 2 CPU cores.
"""

name = "systems_demo"
data = "digits"
seeds = [0]
methods = ["mixpro"]
backbones = [
    "CA-Swin",
    "CaiT",
    "CMT",
    "DeiT",
    "DSS-DeiT",
    "DSS-Swin",
    "FAN-Hybrid",
    "FAN-ViT",
    "FCViT",
    "Hire-MLP",
    "HorNet",
    "HorNet-GF",
    "MixMIM",
    "MSG-Transformer",
    "OAMixer-ConvMixer",
    "OAMixer-DeiT",
    "OAMixer-MLP-Mixer",
    "PosMLP",
    "PVT",
    "PVT v2",
    "RaftMLP",
    "RegionViT",
    "Sequencer2D",
    "SReT",
    "Swin",
    "TNT",
    "XCiT",
]
jobs = 2
pretrain = dict(config="../pretrain/digits/system_digits_{method}.py", tiny=True)
tasks = dict(
    det=dict(config="../transfer/det/mask-rcnn_system_digits.py", tiny=True),
    seg=dict(config="../transfer/seg/upernet_system_digits.py", tiny=True),
)
