"""Protocol ade20k-upernet-160k-layerdecay, version 1: ade20k-upernet-160k with rates that fall layer by layer.

The last layer of the backbone learns at 0.9 of the rate, the one before at 0.9 squared, down to the stem; heads and
neck at the full rate. Nothing else differs, so the pair of protocols tells what the decay does.
Source of the rate: mmsegmentation 1.2.2, configs/beit/beit-base_upernet_8xb2-160k_ade20k-640x640.py.
"""

_base_ = "ade20k-upernet-160k.py"

bench = dict(protocol="ade20k-upernet-160k-layerdecay", version=1)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.9))
