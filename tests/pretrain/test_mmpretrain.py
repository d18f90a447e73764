"""The mixers as MMPretrain's batch augmentations; what needs MMPretrain runs where it can be imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DATASETS
from torch.utils.data import Dataset

from mixpro_bench.errors import UserError
from mixpro_bench.mixing import MaskMix
from mixpro_bench.pretrain.mmpretrain import AreaAugment, mix_area, register

needs_mmpretrain = pytest.mark.skipif(importlib.util.find_spec("mmpretrain") is None, reason="no MMPretrain")


@pytest.mark.parametrize(
    "mixer",
    [dict(type="MaskMix", mask_patch=8), dict(type="CutMix"), dict(type="Mixup"), dict(type="TokenMix", patch=4)],
)
def test_scores_say_how_much_of_each_image_there_is(mixer: dict) -> None:
    """Images of one constant each: the mean of a mixed image tells the shares."""
    values = torch.arange(1.0, 5.0)
    images = values[:, None, None, None].expand(4, 3, 16, 16).contiguous()
    score = F.one_hot(torch.arange(4), 4)
    before = images.clone()
    np.random.seed(0)
    mixed, mixed_score = AreaAugment(mixer)(images, score)
    assert torch.equal(images, before)
    torch.testing.assert_close(mixed_score.sum(1), torch.ones(4))
    torch.testing.assert_close(mixed_score @ values, mixed.mean((1, 2, 3)), rtol=1e-5, atol=1e-5)
    np.random.seed(0)
    assert torch.equal(AreaAugment(mixer)(images, score)[0], mixed)
    assert not torch.equal(AreaAugment(mixer)(images, score)[0], mixed)


def test_soft_scores_are_mixed_too() -> None:
    score = torch.rand(4, 7)
    _, mixed = mix_area(MaskMix(mask_patch=8), torch.randn(4, 3, 16, 16), score, np.random.default_rng(0))
    torch.testing.assert_close(mixed.sum(), score.sum(), rtol=1, atol=0)
    assert mixed.shape == score.shape


def test_what_cannot_be_an_augmentation_is_refused() -> None:
    with pytest.raises(UserError, match="unmixed images first"):
        AreaAugment(dict(type="SMMix"))
    with pytest.raises(UserError, match="give patch"):
        AreaAugment(dict(type="TokenMix"))


@needs_mmpretrain
def test_mmpretrain_builds_them_by_name() -> None:
    from mmpretrain.models import RandomBatchAugment

    assert register()
    augment = RandomBatchAugment([dict(type="mixpro_bench.MaskMix", mask_patch=8), dict(type="CutMix", alpha=1.0)])
    images, score = augment(torch.randn(4, 3, 16, 16), F.one_hot(torch.arange(4), 5).float())
    assert images.shape == (4, 3, 16, 16)
    torch.testing.assert_close(score.sum(1), torch.ones(4))


@DATASETS.register_module(force=True)
class PretrainSamples(Dataset):
    """Random images in MMPretrain's data structure."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict:
        from mmpretrain.structures import DataSample

        image = torch.randint(0, 256, (3, 32, 32), generator=torch.Generator().manual_seed(int(index)))
        return dict(inputs=image.to(torch.uint8), data_samples=DataSample().set_gt_label(int(index) % 5))


def mmpretrain_config(tmp_path: Path, train_cfg: dict | None, hooks: list[dict]) -> Config:
    arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    model = dict(
        type="ImageClassifier",
        backbone=dict(type="VisionTransformer", arch=arch, img_size=32, patch_size=8),
        head=dict(type="VisionTransformerClsHead", num_classes=5, in_channels=16),
        train_cfg=train_cfg,
        data_preprocessor=dict(
            type="ClsDataPreprocessor", num_classes=5, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True
        ),
    )
    return Config(
        dict(
            default_scope="mmpretrain",
            custom_imports=dict(imports=["mixpro_bench.pretrain.mmpretrain"]),
            model=model,
            work_dir=str(tmp_path),
            train_dataloader=dict(
                dataset=dict(type="mmengine.PretrainSamples"),
                sampler=dict(type="DefaultSampler", shuffle=True),
                collate_fn=dict(type="pseudo_collate"),
                batch_size=4,
                num_workers=0,
            ),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
            custom_hooks=hooks,
            default_hooks=dict(checkpoint=None),
            randomness=dict(seed=0),
            experiment_name=tmp_path.name,
        )
    )


@needs_mmpretrain
@pytest.mark.mm
def test_the_hook_in_a_config_of_mmpretrain(tmp_path: Path) -> None:
    from mmengine.runner import Runner

    branch = dict(mixer=dict(type="MaskMix", mask_patch=16), labeler=dict(type="PAL"))
    hook = dict(type="mixpro_bench.MixProHook", policy=dict(branches=[branch]))
    runner = Runner.from_cfg(mmpretrain_config(tmp_path, None, [hook]))
    runner.train()
    assert {"train/mix/lam_attention", "train/mix/factor"} <= set(runner.message_hub.log_scalars)


@needs_mmpretrain
@pytest.mark.mm
def test_augmentations_in_a_config_of_mmpretrain(tmp_path: Path) -> None:
    from mmengine.runner import Runner

    train_cfg = dict(augments=[dict(type="mixpro_bench.MaskMix", mask_patch=16)])
    cfg = mmpretrain_config(tmp_path, train_cfg, [])
    Runner.from_cfg(cfg).train()
    cfg.custom_hooks = [dict(type="mixpro_bench.MixProHook", policy=dict(preset="cutmix"))]
    cfg.experiment_name += "-twice"
    with pytest.raises(UserError, match="mixes in its data preprocessor already"):
        Runner.from_cfg(cfg).train()
