from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from mixpro_bench.errors import UserError
from mixpro_bench.registry import DATASETS

pytestmark = pytest.mark.mm


@DATASETS.register_module(name="HookTestImages", force=True)
class Images(Dataset):
    """Random images with labels."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        image = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(int(index)))
        return dict(inputs=image, label=int(index) % 5)


def run(tmp_path: Path, backbone: dict, policy: dict, hook: dict, *, length: int = 16, epochs: int = 3, **loader):
    from mixpro_bench.compat.runner import Runner

    runner = Runner(
        model=dict(
            type="mixpro_bench.MixClassifier",
            backbone=backbone,
            policy=policy,
            data_preprocessor=dict(type="BaseDataPreprocessor"),
        ),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=dict(type="mixpro_bench.HookTestImages", length=length),
            sampler=dict(type="DefaultSampler", shuffle=True),
            collate_fn=dict(type="default_collate"),
            **{"batch_size": 4, "num_workers": 0, **loader},
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
        custom_hooks=[dict(type="mixpro_bench.MixProHook", **hook)],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1)),
        randomness=dict(seed=0),
        experiment_name=tmp_path.name,
        default_scope="mixpro_bench",
    )
    runner.train()
    return runner


def test_mixing_is_on_between_its_epochs(tmp_path: Path, small_backbone: dict) -> None:
    runner = run(tmp_path, small_backbone, dict(preset="cutmix"), dict(start_epoch=1, off_last_epochs=1))
    steps = runner.message_hub.get_info("mixpro_bench/steps/cutmix")
    assert steps == 4  # one epoch of three, four batches of 4
    assert runner.model.mixing is False


def test_statistics_are_logged_and_counts_survive_in_checkpoints(tmp_path: Path, small_backbone: dict) -> None:
    from mixpro_bench.compat.checkpoint import load_checkpoint

    policy = dict(
        branches=[
            dict(mixer=dict(type="MaskMix", mask_patch=8), labeler=dict(type="PAL"), prob=0.5),
            dict(mixer=dict(type="CutMix"), prob=0.5),
        ]
    )
    runner = run(tmp_path, small_backbone, policy, dict())
    logged = set(runner.message_hub.log_scalars)
    assert {"train/mix/lam_area", "train/mix/lam_attention", "train/mix/factor"} <= logged
    kept = load_checkpoint(tmp_path / "epoch_3.pth")["mixpro_hook"]
    assert sum(kept.values()) == 12
    assert set(kept) == {"maskmix", "cutmix"}


@pytest.mark.parametrize(
    ("policy", "loader", "length", "words"),
    [
        (dict(preset="cutmix"), dict(batch_size=3), 12, "pairs samples two by two"),
        (dict(preset="cutmix"), dict(batch_size=4), 17, "drop_last"),
        (dict(preset="none", mix_group=3), dict(batch_size=4), 16, "mix_group=3"),
        (dict(preset="cutmix", mix_group=1), dict(batch_size=4), 16, "1 samples"),
    ],
)
def test_batches_that_do_not_fit_are_refused_before_training(
    tmp_path: Path, small_backbone: dict, policy: dict, loader: dict, length: int, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        run(tmp_path, small_backbone, policy, dict(), length=length, **loader)


def test_negative_epochs_are_refused() -> None:
    from mixpro_bench.pretrain import MixProHook

    with pytest.raises(UserError, match="off_last_epochs=-1"):
        MixProHook(off_last_epochs=-1)
