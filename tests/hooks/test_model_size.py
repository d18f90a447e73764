"""Parameters and multiply-accumulates, against what can be computed by hand and what is published."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mixpro_bench.hooks.model_size import image_size_of, macs_of, parameters_of


class Small(nn.Module):
    """A convolution with stride, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 5)

    def forward(self, x):
        assert not self.training
        return self.linear(self.norm(self.conv(x)).mean(dim=(2, 3)))


def test_macs_by_hand_and_the_model_is_left_as_it_was():
    model = Small().train()
    before = copy.deepcopy(model.state_dict())
    assert macs_of(model, (32, 48)) == 8 * 12 * 8 * (3 * 4 * 4) + 8 * 5
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(p.device.type == "cpu" and p.requires_grad for p in model.parameters())


def test_macs_of_a_transformer_count_attention_whatever_kernel_runs():
    """DeiT-S is published with 4.6 GMACs; here the sum over its layers."""
    from mixpro_bench.backbones.timm import TimmBackbone

    backbone = TimmBackbone("deit_small_patch16_224")
    n, d, blocks = 197, 384, 12
    attention = 2 * n * n * d
    layers = n * d * (3 * d + d + 8 * d)
    assert macs_of(backbone, (224, 224)) == 196 * d * (3 * 16 * 16) + blocks * (attention + layers) + d * 1000
    assert parameters_of(backbone) == 22_050_664  # DeiT's own number


def test_macs_of_feature_maps_at_another_size_and_of_a_compiled_backbone():
    from mixpro_bench.backbones.timm import TimmBackbone

    backbone = TimmBackbone("swin_tiny_patch4_window7_224", dense=True)
    plain = macs_of(backbone, (64, 96))
    assert plain > 0
    backbone.compile()
    assert macs_of(backbone, (64, 96)) == plain


def test_a_policys_own_parameters_do_not_count():
    model = Small()
    model.policy = nn.Linear(100, 100)
    assert parameters_of(model) == parameters_of(Small()) == 3 * 16 * 8 + 8 + 16 + 8 * 5 + 5


@pytest.mark.parametrize(
    ("told", "size"),
    [
        ({"val_dataloader": {"dataset": {"transform": {"input_size": 224}}}}, (224, 224)),
        ({"model": {"data_preprocessor": {"size": (512, 640), "size_divisor": None}}}, (512, 640)),
        (
            {
                "val_dataloader": {"dataset": {"pipeline": [{"type": "L"}, {"type": "Resize", "scale": (1333, 800)}]}},
                "model": {"data_preprocessor": {"pad_size_divisor": 32}},
            },
            (800, 1344),
        ),
        ({"val_dataloader": {"dataset": {"pipeline": [{"type": "mmdet.Resize", "scale": (96, 96)}]}}}, (96, 96)),
        ({"model": {}, "val_dataloader": None}, None),
    ],
)
def test_image_size_is_that_of_the_protocol(told, size):
    assert image_size_of(told) == size
