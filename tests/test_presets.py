"""Presets and free combinations on a real, small ViT: they build, run and train, or are refused with the reason."""

from __future__ import annotations

import copy
import json
from collections import Counter

import pytest
import torch

from mixpro_bench.backbones.contract import Need, Share
from mixpro_bench.backbones.timm import TimmBackbone
from mixpro_bench.cli.main import main
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.policy import Branch, MixPolicy, Place, share_of, unmixed_need
from mixpro_bench.presets import PRESETS, policy_of
from mixpro_bench.pretrain.objectives.supervised import supervised_losses

SIZE, PATCH, CLASSES = 16, 4, 5
LOCAL_MIXERS = {
    "maskmix": dict(type="MaskMix", mask_patch=8),
    "cutmix": dict(type="CutMix"),
    "tokencutmix": dict(type="TokenCutMix"),
    "tokenmix": dict(type="TokenMix"),
    "tokenmix-random": dict(type="TokenMix", kind="random"),
    "smmix": dict(type="SMMix"),
}
LABELERS = {
    "area": dict(type="AreaLabel"),
    "pal": dict(type="PAL"),
    "transmix": dict(type="TransMix"),
    "tl-align": dict(type="TLAlign"),
    "tokenmix": dict(type="TokenMixLabel"),
    "smmix": dict(type="SMMixLabel"),
}
WORKING = [
    (mixer, labeler)
    for mixer in LOCAL_MIXERS
    for labeler in LABELERS
    if not (labeler == "smmix" and mixer != "smmix") and not (labeler == "tokenmix" and mixer == "smmix")
]


@pytest.fixture(scope="module", params=["token", "avg"])
def backbone(request):
    torch.manual_seed(0)
    sizes = dict(img_size=SIZE, patch_size=PATCH, embed_dim=16, depth=2, num_heads=2, mlp_ratio=2)
    return TimmBackbone("vit_tiny_patch16_224", num_classes=CLASSES, global_pool=request.param, **sizes).train()


def step(backbone: TimmBackbone, policy: MixPolicy, branch: Branch) -> dict[str, torch.Tensor]:
    """Run one training step of a branch as the objective does, and return the losses."""
    g = torch.Generator().manual_seed(3)
    images = torch.randn(4, 3, SIZE, SIZE, generator=g)
    labels = torch.randint(CLASSES, (4,), generator=g)
    aux = {"teacher": torch.rand(4, 4, 4, generator=g)}
    need = unmixed_need(branch)
    with torch.no_grad():
        unmixed = backbone(images, need=need) if need else None
    mixed = branch.mixer(images, labels, policy.generators(Place(0, 7), 4), unmixed, aux)
    need = branch.labeler.need
    out = backbone(mixed.inputs, need=need, share=share_of(mixed) if need.share else None)
    losses, stats = branch.labeler(mixed, out, unmixed)
    assert all(torch.isfinite(v).all() and not v.requires_grad for v in stats.values())
    return losses


def trains(backbone: TimmBackbone, policy: MixPolicy) -> None:
    policy.setup(backbone, CLASSES, (SIZE, SIZE))
    for branch in policy.branches:
        backbone.zero_grad()
        losses = step(backbone, policy, branch)
        assert all(torch.isfinite(v) for v in losses.values())
        sum(losses.values()).backward()
        gradients = [p.grad for p in backbone.parameters() if p.grad is not None]
        assert gradients
        assert all(torch.isfinite(g).all() for g in gradients)
        assert any(g.abs().sum() > 0 for g in gradients)
        assert all(p.grad is not None for p in branch.labeler.parameters())


def options_of(name: str) -> dict:
    return {"mask_patch": 8} if name.startswith("mixpro") else {}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_train(backbone, name):
    trains(backbone, MixPolicy(**policy_of(name, **options_of(name))))


@pytest.mark.parametrize(("mixer", "labeler"), WORKING)
def test_free_combinations_train(backbone, mixer, labeler):
    trains(backbone, MixPolicy([dict(mixer=LOCAL_MIXERS[mixer], labeler=LABELERS[labeler])]))


@pytest.mark.parametrize("mixer", ["Mixup", "NoMix"])
@pytest.mark.parametrize("labeler", [name for name in LABELERS if name != "area"])
def test_labels_that_follow_places_refuse_mixers_without(mixer, labeler):
    with pytest.raises(UserError, match=mixer):
        MixPolicy([dict(mixer=dict(type=mixer), labeler=LABELERS[labeler])])


def test_reading_changes_nothing_and_carries_no_gradient(backbone):
    images = torch.randn(2, 3, SIZE, SIZE)
    plain = backbone(images).logits
    share = Share(torch.ones(2), lambda h, w: torch.rand(2, h, w))
    for need in (Need(importance="auto"), Need(importance="mean_attn"), Need(share=True), Need(tokens=True)):
        out = backbone(images, need=need, share=share if need.share else None)
        torch.testing.assert_close(out.logits, plain, rtol=1e-5, atol=1e-6)
        assert all(value is None or not value.requires_grad for value in (out.importance, out.share))


def test_probabilities_of_the_branches():
    expected = {
        "mixpro": {"MaskMix": 0.5, "Mixup": 0.25, "CutMix": 0.25},
        "transmix": {"CutMix": 0.5, "Mixup": 0.5},
        "transmix-b": {"CutMix": 0.8, "Mixup": 0.2},
        "tl-align": {"TokenCutMix": 1.0},
        "tokenmix": {"TokenMix": 0.5, "Mixup": 0.5},
        "smmix": {"SMMix": 0.5, "Mixup": 0.5},
    }
    for name, probs in expected.items():
        policy = MixPolicy(**policy_of(name))
        assert {type(b.mixer).__name__: pytest.approx(b.prob) for b in policy.branches} == probs
        steps = 2000
        seen = Counter(type(policy.choose(Place(1, i)).mixer).__name__ for i in range(steps))
        for mixer, prob in probs.items():
            assert abs(seen[mixer] - prob * steps) <= 4 * (steps * prob * (1 - prob)) ** 0.5 + 1e-9


@pytest.mark.parametrize("name", [p.name for p in PRESETS.values() if p.mix in ("common", "both")])
def test_the_common_mix_is_one_for_all_methods(name):
    branches = policy_of(name)["branches"]
    shares = Counter()
    for branch in branches if name == "mixup-cutmix" else branches[1:]:
        assert branch["labeler"]["type"] == "AreaLabel"
        shares[branch["mixer"]["type"]] += branch["prob"]
    if name == "mixup-cutmix":  # the control: as the others, with its own half made of the same
        assert shares == {"Mixup": 0.5, "CutMix": 0.5}
        return
    assert shares == {"Mixup": 0.25, "CutMix": 0.25}
    own = policy_of(name.removesuffix("-common"))["branches"]
    assert branches[0] == {**own[0], "prob": 0.5}
    losses = {branch["labeler"].get("loss", "ce") for branch in own[1:]} or {"ce"}
    assert {branch["labeler"]["loss"] for branch in branches[1:]} == losses
    if name.endswith("-common"):
        with pytest.raises(UserError, match=r"policy\.prob"):
            policy_of(name, prob=0.8)
    half_smooth = policy_of(name, smoothing=0.05)["branches"]
    assert {branch["labeler"]["smoothing"] for branch in half_smooth} == {0.05}


def test_official_and_fixed_exist_for_every_method():
    kinds = {}
    for preset in PRESETS.values():
        kinds.setdefault(preset.method, set()).add(preset.kind)
        assert preset.source
    for method in ("mixpro", "transmix", "tl-align", "tokenmix", "smmix"):
        assert {"official", "fixed"} <= kinds[method]


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: policy_of("mixpor"), "'mixpor' is unknown"),
        (lambda: policy_of("mixpro", patch=4), "policy.patch"),
        (lambda: MixPolicy([]), "empty"),
        (lambda: MixPolicy([dict(mixer=dict(type="CutMix"), prob=0.5)]), "sum to 0.5"),
        (lambda: MixPolicy([dict(mixer=dict(type="CutMix"), prob=0)]), "prob=0"),
        (lambda: MixPolicy([dict(mixer=dict(type="CutMix"))], mix_group=3), "3 samples"),
        (lambda: MixPolicy([dict(mixer=dict(type="CutMix"))], coin="each"), "coin='each'"),
        (lambda: MixPolicy([dict(labeler=dict(type="PAL"))]), "takes mixer"),
    ],
)
def test_wrong_policies_are_refused(build, word):
    with pytest.raises(UserError, match=word):
        build()


def test_a_mask_patch_that_cuts_tokens_is_refused(backbone):
    policy = MixPolicy(**policy_of("mixpro", mask_patch=6))
    with pytest.raises(UserError, match="mask_patch=6"):
        policy.setup(backbone, CLASSES)


def test_data_that_a_policy_needs_is_known_before_training():
    assert MixPolicy(**policy_of("tokenmix")).needs_aux == ("teacher",)
    assert MixPolicy(**policy_of("tokenmix", fallback="area")).needs_aux == ()


def test_a_batch_that_cannot_be_paired_is_refused_before_training():
    policy = MixPolicy(**policy_of("transmix"))
    assert policy.check_batch(6) == 6
    for batch in (1, 7):
        with pytest.raises(UserError, match=f"{batch} samples"):
            policy.check_batch(batch)
    with pytest.raises(UserError, match="does not divide"):
        MixPolicy(**policy_of("transmix"), mix_group=4).check_batch(6)


def test_every_method_is_listed_with_its_source(capsys):
    assert main(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in listed["presets"]} == set(PRESETS)
    assert {row["name"] for row in listed["mixers"]} >= {"MaskMix", "SMMix", "TokenCutMix", "TokenMix"}
    assert {row["name"] for row in listed["labelers"]} >= {"PAL", "TLAlign", "TransMix", "TokenMixLabel"}
    assert all(row["source"] and row["kind"] for rows in listed.values() for row in rows)
    mixes = {row["name"]: row["mix"] for row in listed["presets"]}
    assert (mixes["transmix"], mixes["transmix-common"], mixes["mixpro"]) == ("official", "common", "both")
    assert main(["methods"]) == 0
    assert "mixpro-fixed" in capsys.readouterr().out


@pytest.mark.gpu
def test_no_step_waits_for_the_gpu(backbone):
    for name in sorted(PRESETS):
        policy = MixPolicy(**policy_of(name, **options_of(name)))
        policy.setup(backbone, CLASSES, (SIZE, SIZE))
        policy.cuda()
        model = copy.deepcopy(backbone).cuda()
        images, labels = torch.randn(4, 3, SIZE, SIZE).cuda(), torch.arange(4).cuda()
        aux = {"teacher": torch.rand(4, 4, 4).cuda()}
        for branch in policy.branches:
            for mode in ("default", "error"):  # the first round fills caches of constants
                torch.cuda.synchronize()
                torch.cuda.set_sync_debug_mode(mode)
                try:
                    supervised_losses(model, policy, branch, Place(0, 7), images, labels, aux)
                finally:
                    torch.cuda.set_sync_debug_mode("default")


def test_groups_draw_what_one_larger_process_draws():
    policy = MixPolicy(**policy_of("cutmix"), mix_group=2)
    images, labels = torch.randn(8, 3, SIZE, SIZE), torch.arange(8) % CLASSES
    mixer = policy.branches[0].mixer
    whole = mixer(images, labels, policy.generators(Place(0, 5), 8)).inputs
    parts = [
        mixer(images[4 * r : 4 * r + 4], labels[:4], policy.generators(Place(0, 5, r, 2), 4)).inputs for r in range(2)
    ]
    assert torch.equal(whole, torch.cat(parts))
