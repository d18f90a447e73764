"""DeiT-S/16 under TL-Align's own recipe with TL-Align as released.

Command: bash tools/pretrain.sh configs/pretrain/in1k_official/deit_small_p16_official-tl-align_tl-align.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.60 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 80.6 % top-1 (95.0 % top-5), README of Euphoria16/TL-Align; best epoch there.
"""

_base_ = "deit_small_p16_official-tl-align_mixup-cutmix.py"

bench = dict(method="tl-align", preset="tl-align")
model = dict(policy=dict(preset="tl-align"))
