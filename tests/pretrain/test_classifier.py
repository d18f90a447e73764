from __future__ import annotations

import pytest
import torch

from mixpro_bench.errors import UserError
from mixpro_bench.mixing import Place
from mixpro_bench.pretrain import MixClassifier, build_policy


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.arange(8) % 5


def total(losses: dict[str, torch.Tensor]) -> torch.Tensor:
    return sum(value for name, value in losses.items() if "loss" in name)


def test_mixing_is_in_the_loss_path_only(small_backbone: dict, images: torch.Tensor, labels: torch.Tensor) -> None:
    model = MixClassifier(small_backbone, dict(preset="cutmix"))
    before = images.clone()
    model.place = Place(0, 0)
    model(images, labels, mode="loss")
    assert torch.equal(images, before)
    model.eval()
    alone = model.backbone(images).logits
    torch.testing.assert_close(model(images), alone)
    torch.testing.assert_close(torch.stack([p["scores"] for p in model(images, labels, mode="predict")]), alone)


def test_the_same_place_gives_the_same_loss(small_backbone: dict, images: torch.Tensor, labels: torch.Tensor) -> None:
    model = MixClassifier(small_backbone, dict(preset="mixpro", mask_patch=8))
    losses = []
    for step in (3, 4, 3):
        model.place = Place(0, step)
        losses.append(total(model(images, labels, mode="loss")).item())
    assert losses[0] == losses[2]
    assert losses[0] != losses[1]


def test_every_parameter_gets_a_gradient_in_every_branch(
    small_backbone: dict, images: torch.Tensor, labels: torch.Tensor
) -> None:
    policy = dict(
        branches=[
            dict(mixer=dict(type="CutMix"), prob=0.5),
            dict(mixer=dict(type="SMMix"), labeler=dict(type="SMMixLabel"), prob=0.5),
        ]
    )
    model = MixClassifier(small_backbone, policy)
    seen = set()
    for step in range(12):
        model.zero_grad()
        model.place = Place(0, step)
        seen.add(model.policy.choose(model.place).mixer.name)
        total(model(images, labels, mode="loss")).backward()
        assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert len(seen) == 2


def test_switched_off_it_trains_on_the_images_themselves(
    small_backbone: dict, images: torch.Tensor, labels: torch.Tensor
) -> None:
    model = MixClassifier(small_backbone, dict(preset="cutmix", smoothing=0.2))
    model.mixing = False
    model.place = Place(0, 0)
    wanted = torch.nn.functional.cross_entropy(model.backbone(images).logits, labels, label_smoothing=0.2)
    torch.testing.assert_close(model(images, labels, mode="loss")["loss_cls"], wanted)


def test_without_its_hook_it_says_what_is_missing(
    small_backbone: dict, images: torch.Tensor, labels: torch.Tensor
) -> None:
    model = MixClassifier(small_backbone, dict(preset="none"))
    with pytest.raises(UserError, match="MixProHook"):
        model(images, labels, mode="loss")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (dict(), "preset"),
        (dict(preset="mixpro", branches=[]), "either"),
        (dict(preset="mixprro"), "unknown"),
        (dict(preset="cutmix", mask_patch=8), "mask_patch"),
        (dict(preset="mixpro", mask_patch=6), "multiple of the model patch 4"),
        (dict(branches=[dict(mixer=dict(type="CutMix"), prob=0.4)]), "sum to 0.4"),
        (dict(branches=[dict(mixer=dict(type="CutMix"), prob=0.0)]), "outside"),
        (dict(preset="mixpro", mask_patch=8, coin="each"), "coin"),
        (dict(preset="cutmix", smoothing=1.0), "smoothing"),
        (dict(preset="cutmix", alpha=0.0), "alpha"),
    ],
)
def test_a_wrong_policy_is_refused_when_it_is_built(small_backbone: dict, policy: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        MixClassifier(small_backbone, policy)


def test_a_backbone_without_classifier_is_refused(small_backbone: dict) -> None:
    with pytest.raises(UserError, match="num_classes"):
        MixClassifier({**small_backbone, "num_classes": 0}, dict(preset="none"))


def test_half_the_steps_of_mixpro_are_maskmix() -> None:
    policy = build_policy(dict(preset="mixpro", mask_patch=8))
    names = [policy.choose(Place(7, step)).mixer.name for step in range(2000)]
    # Four standard deviations of a binomial around each probability.
    for name, prob in (("maskmix", 0.5), ("mixup", 0.25), ("cutmix", 0.25)):
        assert abs(names.count(name) - 2000 * prob) < 4 * (2000 * prob * (1 - prob)) ** 0.5
