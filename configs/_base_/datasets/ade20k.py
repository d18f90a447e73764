"""ADE20K (150 classes) at 512 pixels, as in mmseg's own 160k configs.

``images`` and ``annotations`` lie under data/ade/ADEChallengeData2016 or where the environment variable MIXPRO_ADE20K
points.
"""

_base_ = "mmseg::_base_/datasets/ade20k.py"

data_root = "{{$MIXPRO_ADE20K:data/ade/ADEChallengeData2016}}"

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
