"""A teacher's maps: dense scores of any timm model, own classes, stored maps in both axis orders, and refusals."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from mixpro_bench.backbones.timm import TimmBackbone
from mixpro_bench.compat.checkpoint import save_checkpoint
from mixpro_bench.errors import UserError
from mixpro_bench.labeling import TokenMixLabel
from mixpro_bench.labeling.network import Teacher, dense_logits, teachers_of
from mixpro_bench.labeling.teacher import crop_map
from mixpro_bench.mixing.policy import MixPolicy, Place
from mixpro_bench.presets import policy_of
from mixpro_bench.pretrain.mixpro_hook import check_aux
from mixpro_bench.pretrain.objectives.supervised import supervised_losses

SMALL = dict(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2)
NAME = "vit_tiny_patch16_224"


def images_of(batch: int = 2, size: int = 32) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))


def built(name: str, **settings) -> torch.nn.Module:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5, **settings).eval()
    torch.nn.init.normal_(model.get_classifier().weight, std=1.0)
    return model


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "teacher.pth"
    torch.save(built(NAME, **SMALL).state_dict(), path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "settings", "grid"),
    [
        ("resnet10t", {}, (2, 2)),
        ("swin_tiny_patch4_window7_224", dict(img_size=64, embed_dim=16, depths=(1, 1), num_heads=(1, 2)), (8, 8)),
        ("convnext_atto", dict(depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)), (2, 2)),
    ],
)
@torch.no_grad()
def test_where_the_head_is_linear_the_mean_over_places_is_the_whole(name, settings, grid):
    model = built(name, **settings)
    if name.startswith("convnext"):  # its norm after the pooling is not linear
        model.head.norm = torch.nn.Identity()
    logits = dense_logits(model, images_of(size=64))
    assert logits.shape == (2, 5, *grid)
    torch.testing.assert_close(logits.mean(dim=(2, 3)), model(images_of(size=64)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (NAME, SMALL),
        (NAME, {**SMALL, "global_pool": "avg"}),
        (NAME, {**SMALL, "reg_tokens": 3}),
        ("cait_xxs24_224", {**SMALL, "num_heads": 4}),
    ],
)
@torch.no_grad()
def test_tokens_go_through_the_head_one_by_one(name, settings):
    model = built(name, **settings)
    logits = dense_logits(model, images_of())
    assert logits.shape == (2, 5, 4, 4)
    tokens = model.forward_features(images_of())[:, -16:]
    expected = model.head(model.fc_norm(tokens) if hasattr(model, "fc_norm") else tokens)
    torch.testing.assert_close(logits.flatten(2).transpose(1, 2), expected)


def test_own_class_is_the_teachers_probability_of_the_label(weights):
    teacher = Teacher(NAME, weights, **SMALL)
    images, labels = images_of(), torch.tensor([4, 1])
    pixels = images * torch.tensor(IMAGENET_DEFAULT_STD)[:, None, None]
    pixels = pixels + torch.tensor(IMAGENET_DEFAULT_MEAN)[:, None, None]
    assert tuple(teacher.mean) == (0.5, 0.5, 0.5)
    scores = teacher.scores((pixels - 0.5) / 0.5)
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(2, 4, 4))
    own = teacher.own_class(images, labels)
    torch.testing.assert_close(own, torch.stack([scores[0, 4], scores[1, 1]]))
    # Another image size is brought to the teacher's.
    assert teacher.own_class(F.interpolate(images, (48, 48)), labels).shape == (2, 4, 4)


def test_a_pretraining_run_can_teach(tmp_path):
    backbone = TimmBackbone(NAME, num_classes=5, **SMALL)
    state = {f"backbone.{key}": value for key, value in backbone.state_dict().items()}
    path = save_checkpoint(dict(meta={}, state_dict=state), tmp_path / "epoch_1.pth")
    teacher = Teacher(NAME, str(path), **SMALL)
    assert teacher.num_classes == 5
    assert tuple(teacher.mean) == IMAGENET_DEFAULT_MEAN
    backbone.eval()
    with torch.no_grad():
        torch.testing.assert_close(teacher.model(images_of()), backbone(images_of()).logits)


@pytest.mark.parametrize(("swapped", "axes"), [(False, "straight"), (True, "swapped")])
def test_stored_maps_are_cut_out_in_either_order_of_axes(swapped, axes):
    label = TokenMixLabel(axes=axes)
    label.patch_size = 8
    stored = torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(2))
    crop = torch.tensor([[0.1, 0.4, 0.5, 0.3], [0.0, 0.0, 1.0, 0.5]])
    aux = {"teacher_map": stored, "teacher_crop": crop, "index": torch.arange(2)}
    prepared = label.prepare(images_of(), torch.tensor([0, 1]), aux)
    assert prepared.keys() == {"teacher", "index"}
    assert torch.equal(prepared["teacher"], crop_map(stored, crop, 4, swapped))
    other = TokenMixLabel(axes="swapped" if axes == "straight" else "straight")
    other.patch_size = 8
    assert not torch.allclose(other.prepare(images_of(), torch.tensor([0, 1]), aux)["teacher"], prepared["teacher"])


def test_a_teacher_is_told_by_its_weights(weights, tmp_path):
    teacher = Teacher(NAME, weights, **SMALL)
    state = torch.load(weights, weights_only=True)
    copied, other = tmp_path / "copied.pth", tmp_path / "other.pth"
    torch.save({"model": state}, copied)
    state["pos_embed"][0, -1, -1] += 1e-3
    torch.save(state, other)
    assert Teacher(NAME, str(copied), **SMALL).sha256() == teacher.sha256()
    assert Teacher(NAME, str(other), **SMALL).sha256() != teacher.sha256()


@pytest.mark.parametrize("preset", ["tokenmix", "tokenmix-fixed"])
def test_a_network_beside_teaches_and_is_no_part_of_the_model(weights, preset):
    torch.manual_seed(0)
    backbone = TimmBackbone(NAME, num_classes=5, **SMALL).train()
    policy = MixPolicy(**policy_of(preset, teacher=dict(name=NAME, checkpoint=weights, **SMALL)))
    policy.setup(backbone, 5, (32, 32))
    assert policy.needs_aux == ()
    assert not list(policy.parameters())
    assert not policy.state_dict()
    branch = policy.branches[0]
    teacher = branch.labeler.teacher
    assert copy.deepcopy(branch.labeler).teacher is teacher
    assert teachers_of(policy) == {NAME: teacher.sha256()}
    before = copy.deepcopy(teacher.model.state_dict())
    aux = {"index": torch.arange(4)}
    losses, stats = supervised_losses(
        backbone, policy, branch, Place(0, 3), images_of(4), torch.tensor([0, 1, 2, 4]), aux
    )
    losses["loss_cls"].backward()
    assert float(stats["area_stood_in"]) == 0
    assert float(stats["lam"]) != float(stats["lam_area"])
    assert not teacher.model.training
    assert all(p.grad is None for p in teacher.model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in teacher.model.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (dict(name="vit_tinny"), "no timm model"),
        (dict(name=NAME, checkpoint="nowhere.pth"), "does not exist"),
        (dict(name=NAME), "does not fit the teacher"),
        (dict(name=NAME, **{**SMALL, "depth": 2}), "does not fit the teacher"),
        (dict(name=NAME, **SMALL, colour=1), "refuses an argument"),
        (dict(name=NAME, **SMALL, num_classes=7), "does not fit the teacher"),
        (dict(name=NAME, **SMALL, classes=[0, 5]), "class index 5"),
        (dict(name=NAME, **SMALL, classes=[-1]), "class index -1"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(weights, settings, word):
    with pytest.raises(UserError, match=word):
        Teacher(**{"checkpoint": weights, **settings})


def test_a_teacher_of_other_classes_is_refused_when_the_model_is_built(weights):
    backbone = TimmBackbone(NAME, num_classes=3, **SMALL)
    settings = dict(name=NAME, checkpoint=weights, **SMALL)
    policy = MixPolicy(**policy_of("tokenmix", teacher=settings))
    with pytest.raises(UserError, match="tells of 5 classes, but the model has 3"):
        policy.setup(backbone, 3)
    MixPolicy(**policy_of("tokenmix", teacher={**settings, "classes": [4, 0, 2]})).setup(backbone, 3)


def test_options_that_contradict_one_another_are_refused(weights):
    with pytest.raises(UserError, match="leave one of the two out"):
        TokenMixLabel(teacher=dict(name=NAME, checkpoint=weights, **SMALL), fallback="area")
    with pytest.raises(UserError, match="axes='crossed'"):
        TokenMixLabel(axes="crossed")


def test_data_without_maps_are_refused_before_training():
    class Data:
        aux = ()

    policy = MixPolicy(**policy_of("tokenmix"))
    with pytest.raises(UserError, match="dataset has none"):
        check_aux(policy, Data())
    check_aux(policy, object())  # data of other people do not say what they bring along
    check_aux(MixPolicy(**policy_of("tokenmix", fallback="area")), Data())
    Data.aux = ("teacher",)
    check_aux(policy, Data())
