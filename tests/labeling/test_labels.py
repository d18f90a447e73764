"""What holds for every labeler, against labels computed one sample at a time in plain Python."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpro_bench.backbones.attention import attention_row
from mixpro_bench.backbones.contract import Output
from mixpro_bench.errors import UserError
from mixpro_bench.labeling import PAL, AreaLabel, SMMixLabel, TLAlign, TokenMixLabel, TransMix
from mixpro_bench.labeling.labeler import attention_lambda, mix_targets, mixed_cross_entropy, smooth_one_hot
from mixpro_bench.labeling.pal import progressive_factor, progressive_lambda
from mixpro_bench.labeling.smmix import blend_predictions, pool_tokens
from mixpro_bench.labeling.teacher import class_map, crop_map
from mixpro_bench.labeling.tokenmix import released_target
from mixpro_bench.mixing import CutMix, GridRegion, MaskMix, MixedBatch, Mixup, NoMix, SMMix

QUICK = settings(max_examples=25, deadline=None)
CLOSE = dict(rtol=1e-5, atol=1e-5)
SMOOTHING = st.sampled_from([0.0, 0.1, 0.5])


def batch_of(seed: int, b: int = 4, classes: int = 6, grid: int = 3, cell: int = 4) -> MixedBatch:
    g = torch.Generator().manual_seed(seed)
    cells = torch.rand(b, grid, grid, generator=g) < 0.6
    region = GridRegion(cells, cell, (grid * cell, grid * cell))
    labels, partner = torch.randint(classes, (b,), generator=g), torch.randperm(b, generator=g)
    return MixedBatch(
        torch.zeros(b, 3, grid * cell, grid * cell), labels, labels[partner], region.area(), partner, region, "maskmix"
    )


def random_output(seed: int, b: int = 4, classes: int = 6, grid: int = 6) -> Output:
    g = torch.Generator().manual_seed(seed + 1)
    logits = torch.randn(b, classes, generator=g).requires_grad_()
    return Output(
        logits,
        importance=torch.rand(b, grid, grid, generator=g),
        share=torch.rand(b, generator=g),
        tokens=torch.randn(b, 5, grid, grid, generator=g),
    )


def row_of(label: int, classes: int, smoothing: float) -> list[float]:
    return [smoothing / classes + (1 - smoothing if k == label else 0.0) for k in range(classes)]


def slow_loss(mixed: MixedBatch, logits: torch.Tensor, lam: list[float], smoothing: float) -> float:
    losses = []
    for z, a, b, weight in zip(logits.tolist(), mixed.labels_a.tolist(), mixed.labels_b.tolist(), lam, strict=True):
        log_sum = math.log(sum(math.exp(v) for v in z))
        rows = (row_of(y, len(z), smoothing) for y in (a, b))
        target = [weight * p + (1 - weight) * q for p, q in zip(*rows, strict=True)]
        losses.append(-sum(t * (v - log_sum) for t, v in zip(target, z, strict=True)))
    return sum(losses) / len(losses)


def slow_attention(mixed: MixedBatch, importance: torch.Tensor) -> list[float]:
    share = mixed.region.share(*importance.shape[1:])
    weights = []
    for s, a in zip(share, importance, strict=True):
        on_a = sum(float(x * y) for x, y in zip(s.flatten(), a.flatten(), strict=True))
        weights.append(on_a / float(a.double().sum()))
    return weights


@QUICK
@given(seed=st.integers(0, 10**6), smoothing=SMOOTHING)
def test_area(seed, smoothing):
    mixed, out = batch_of(seed), random_output(seed)
    losses, _ = AreaLabel(smoothing)(mixed, out)
    assert float(losses["loss_cls"]) == pytest.approx(
        slow_loss(mixed, out.logits, mixed.lam_area.tolist(), smoothing), rel=1e-5
    )
    bce, _ = AreaLabel(smoothing, loss="bce")(mixed, out)
    target = mix_targets(mixed.labels_a, mixed.labels_b, mixed.lam_area, 6, smoothing)
    p = out.logits.sigmoid()
    expected = -(target * p.log() + (1 - target) * (1 - p).log()).mean()
    torch.testing.assert_close(bce["loss_cls"], expected, **CLOSE)


@QUICK
@given(seed=st.integers(0, 10**6), smoothing=SMOOTHING, weight=st.floats(0, 1))
def test_transmix(seed, smoothing, weight):
    mixed, out = batch_of(seed), random_output(seed)
    attention = slow_attention(mixed, out.importance)
    lam = [weight * x + (1 - weight) * y for x, y in zip(attention, mixed.lam_area.tolist(), strict=True)]
    losses, stats = TransMix(smoothing, weight)(mixed, out)
    assert float(losses["loss_cls"]) == pytest.approx(slow_loss(mixed, out.logits, lam, smoothing), rel=1e-4)
    assert float(stats["lam"]) == pytest.approx(sum(lam) / len(lam), abs=1e-5)


@QUICK
@given(seed=st.integers(0, 10**6), smoothing=SMOOTHING, loss_smoothing=SMOOTHING)
def test_pal(seed, smoothing, loss_smoothing):
    mixed, out = batch_of(seed), random_output(seed)
    lam = []
    for i, attention in enumerate(slow_attention(mixed, out.importance)):
        area = float(mixed.lam_area[i])
        rows = (row_of(int(y), 6, smoothing) for y in (mixed.labels_a[i], mixed.labels_b[i]))
        target = [area * p + (1 - area) * q for p, q in zip(*rows, strict=True)]
        prediction = out.logits[i].softmax(0).tolist()
        dot = sum(t * p for t, p in zip(target, prediction, strict=True))
        factor = dot / math.hypot(*target) / math.hypot(*prediction)
        lam.append(factor * attention + (1 - factor) * area)
    losses, stats = PAL(smoothing, loss_smoothing)(mixed, out)
    assert float(losses["loss_cls"]) == pytest.approx(slow_loss(mixed, out.logits, lam, loss_smoothing), rel=1e-4)
    assert float(stats["lam"]) == pytest.approx(sum(lam) / 4, abs=1e-5)


@QUICK
@given(seed=st.integers(0, 10**6), smoothing=SMOOTHING)
def test_tl_align(seed, smoothing):
    mixed, out = batch_of(seed), random_output(seed)
    losses, _ = TLAlign(smoothing)(mixed, out)
    assert float(losses["loss_cls"]) == pytest.approx(
        slow_loss(mixed, out.logits, out.share.tolist(), smoothing), rel=1e-5
    )


@QUICK
@given(seed=st.integers(0, 10**6), smoothing=SMOOTHING)
def test_tokenmix(seed, smoothing):
    mixed, out = batch_of(seed), random_output(seed)
    g = torch.Generator().manual_seed(seed)
    maps = torch.rand(4, 3, 3, generator=g)
    mixed = MixedBatch(**{**vars(mixed), "aux": {"teacher_a": maps, "teacher_b": maps[mixed.partner]}})
    scores = []
    for i in range(4):
        own, other, cells = maps[i], maps[mixed.partner[i]], mixed.region.cells[i]
        a = sum(float(own[y, x]) for y in range(3) for x in range(3) if cells[y, x]) / float(own.sum())
        b = sum(float(other[y, x]) for y in range(3) for x in range(3) if not cells[y, x]) / float(other.sum())
        scores.append((a, b))
    lam = [a / (a + b) for a, b in scores]
    losses, _ = TokenMixLabel(smoothing)(mixed, out)
    assert float(losses["loss_cls"]) == pytest.approx(slow_loss(mixed, out.logits, lam, smoothing), rel=1e-4)
    raw = released_target(
        *(torch.tensor(column) for column in zip(*scores, strict=True)), mixed.labels_a, mixed.labels_b, 6, smoothing
    )
    for i, (a, b) in enumerate(scores):
        for k in range(6):
            value = smoothing / 12 * 2
            value += (a - smoothing / 2) * (k == int(mixed.labels_a[i]))
            value += (b - smoothing / 2) * (k == int(mixed.labels_b[i]))
            assert float(raw[i, k]) == pytest.approx(value, abs=1e-5)


@QUICK
@given(seed=st.integers(0, 10**6), lam=st.floats(0, 1), smoothing=SMOOTHING, classes=st.integers(2, 9))
def test_targets(seed, lam, smoothing, classes):
    g = torch.Generator().manual_seed(seed)
    a, b = (torch.randint(classes, (5,), generator=g) for _ in "ab")
    weight = torch.full((5,), lam)
    target = mix_targets(a, b, weight, classes, smoothing)
    torch.testing.assert_close(target.sum(dim=1), torch.ones(5), **CLOSE)  # L1
    assert (target >= -1e-7).all()
    torch.testing.assert_close(target, mix_targets(b, a, 1 - weight, classes, smoothing), **CLOSE)  # L4
    torch.testing.assert_close(
        mix_targets(a, a, weight, classes, smoothing), smooth_one_hot(a, classes, smoothing)
    )  # L3
    one_hot = torch.nn.functional.one_hot(a, classes).float()
    assert torch.equal(mix_targets(a, b, torch.ones(5), classes, 0.0), one_hot)  # L2


@QUICK
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_scale_of_attention_does_not_matter(seed, scale):
    mixed, out = batch_of(seed), random_output(seed)
    lam, _ = attention_lambda(out.importance, mixed)
    torch.testing.assert_close(attention_lambda(out.importance * scale, mixed)[0], lam, **CLOSE)  # L5
    assert ((lam >= 0) & (lam <= 1 + 1e-6)).all()


@pytest.mark.parametrize("labeler", [PAL(), TransMix()], ids=["pal", "transmix"])
@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_attention_that_says_nothing_leaves_the_area(labeler, value):
    mixed, out = batch_of(0), random_output(0)
    lam, stood_in = attention_lambda(torch.full((4, 6, 6), value), mixed)
    assert torch.equal(lam, mixed.lam_area)  # L6
    assert stood_in.all()
    losses, stats = labeler(mixed, Output(out.logits, importance=torch.full((4, 6, 6), value)))
    area, _ = AreaLabel()(mixed, out)
    torch.testing.assert_close(losses["loss_cls"], area["loss_cls"], **CLOSE)
    assert stats["area_stood_in"] == 4
    losses["loss_cls"].backward()
    assert torch.isfinite(out.logits.grad).all()


def test_share_that_is_no_number_leaves_the_area():
    mixed, out = batch_of(0), random_output(0)
    losses, stats = TLAlign()(mixed, Output(out.logits, share=torch.full((4,), float("nan"))))
    torch.testing.assert_close(losses["loss_cls"], AreaLabel()(mixed, out)[0]["loss_cls"], **CLOSE)
    assert stats["area_stood_in"] == 4


@QUICK
@given(seed=st.integers(0, 10**6))
def test_uniform_attention_is_area_and_attention_on_a_is_one(seed):
    mixed = batch_of(seed)
    lam, _ = attention_lambda(torch.full((4, 6, 6), 0.3), mixed)
    torch.testing.assert_close(lam, mixed.region.share(6, 6).mean(dim=(1, 2)), **CLOSE)  # A1
    share = mixed.region.share(6, 6)
    lam, bad = attention_lambda(share * 0.7, mixed)
    assert torch.equal(lam[~bad], torch.ones_like(lam[~bad]))  # A2


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_nearest_share_of_a_box_errs_within_its_bound(seed):
    from mixpro_bench.rng import rng

    images, labels = torch.zeros(2, 1, 224, 224), torch.zeros(2, dtype=torch.long)
    mixed = CutMix()(images, labels, [rng(seed, "mix", 0)])
    lam, _ = attention_lambda(torch.ones(2, 14, 14), mixed, "nearest")
    top, bottom, left, right = mixed.region.box[0].tolist()
    bound = (16 * (bottom - top + right - left) + 256) / 224**2
    assert abs(float(lam[0] - mixed.lam_area[0])) <= bound + 1e-6


@QUICK
@given(seed=st.integers(0, 10**6))
def test_progressive_factor(seed):
    mixed, out = batch_of(seed), random_output(seed)
    attention, _ = attention_lambda(out.importance, mixed)
    area = mixed.lam_area
    zero, one = torch.zeros(4), torch.ones(4)
    assert torch.equal(progressive_lambda(zero, attention, area), area)  # P1
    assert torch.equal(progressive_lambda(one, attention, area), attention)  # P2
    torch.testing.assert_close(progressive_lambda(one / 2, attention, area), (attention + area) / 2, **CLOSE)  # P3
    target = mix_targets(mixed.labels_a, mixed.labels_b, area, 6, 0.1)
    factor = progressive_factor(out.logits, target)
    assert ((factor >= 0) & (factor <= 1 + 1e-6)).all()  # P4
    lam = progressive_lambda(factor, attention, area)
    assert (lam >= torch.minimum(attention, area) - 1e-6).all()  # P6
    assert (lam <= torch.maximum(attention, area) + 1e-6).all()
    torch.testing.assert_close(progressive_factor(target.log(), target), one, **CLOSE)  # P5
    uniform = progressive_factor(torch.zeros(4, 6), target)
    torch.testing.assert_close(uniform, 1 / (6**0.5 * target.norm(dim=1)), **CLOSE)


@pytest.mark.parametrize(("lam", "value"), [(0.5, 0.0497), (1.0, 0.0351)])
def test_progressive_factor_of_a_uniform_prediction_over_1000_classes(lam, value):
    target = mix_targets(torch.tensor([3]), torch.tensor([7]), torch.tensor([lam]), 1000, 0.1)
    assert float(progressive_factor(torch.zeros(1, 1000), target)) == pytest.approx(value, abs=1e-4)


@QUICK
@given(seed=st.integers(0, 10**6))
def test_detached_factor_is_a_constant_of_the_gradient(seed):
    mixed = batch_of(seed)
    gradients = []
    for detach in (True, False):
        out = random_output(seed)
        losses, _ = PAL(detach=detach)(mixed, out)
        losses["loss_cls"].backward()
        gradients.append((float(losses["loss_cls"].detach()), out.logits.grad))
    out = random_output(seed)
    attention, _ = attention_lambda(out.importance, mixed)
    target = mix_targets(mixed.labels_a, mixed.labels_b, mixed.lam_area, 6, 0.1)
    lam = progressive_lambda(progressive_factor(out.logits, target), attention, mixed.lam_area).detach()
    mixed_cross_entropy(out.logits, mixed, lam, 0.1).backward()
    torch.testing.assert_close(gradients[0][1], out.logits.grad, **CLOSE)  # P7
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-6)
    gap = (attention - mixed.lam_area).abs() * (mixed.labels_a != mixed.labels_b)
    if float(gap.max()) > 0.05:
        assert not torch.allclose(gradients[1][1], gradients[0][1], rtol=0, atol=1e-6)


@QUICK
@given(seed=st.integers(0, 10**6), lam=st.floats(0, 1))
def test_two_cross_entropies_equal_one_to_the_mixed_target(seed, lam):
    mixed, out = batch_of(seed), random_output(seed)
    weight = torch.full((4,), lam)
    target = mix_targets(mixed.labels_a, mixed.labels_b, weight, 6, 0.0)
    soft = -(target * out.logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(mixed_cross_entropy(out.logits, mixed, weight, 0.0), soft, **CLOSE)  # P8


def test_smmix_consistency_vanishes_where_the_prediction_is_the_blend():
    mixed = batch_of(5)
    label = SMMixLabel()
    label.setup(5, 6)
    u = torch.randn(4, 6)
    lam = mixed.lam_area[:, None]
    blend = lam * u + (1 - lam) * u[mixed.partner]
    out = Output(blend + 3.0, tokens=torch.randn(4, 5, 3, 3))
    losses, _ = label(mixed, out, Output(u))
    assert float(losses["loss_consistency"].detach()) == pytest.approx(0, abs=1e-6)  # S2
    probs = blend_predictions(u, mixed.partner, mixed.lam_area, "probs")
    torch.testing.assert_close(probs, lam * u.softmax(1) + (1 - lam) * u[mixed.partner].softmax(1), **CLOSE)


def test_smmix_pools_exactly_the_tokens_of_each_image():
    mixed, tokens = batch_of(1), torch.randn(4, 5, 3, 3)
    share = mixed.region.share(3, 3)
    pooled = pool_tokens(tokens, share)
    for i in range(4):
        torch.testing.assert_close(pooled[i], tokens[i][:, mixed.region.cells[i]].mean(dim=1), **CLOSE)


def test_teacher_map_of_a_class_and_its_crop():
    scores = torch.tensor([[[[0.7, 0.2]], [[0.1, 0.6]]]])
    classes = torch.tensor([[[[3, 1]], [[1, 3]]]])
    assert class_map(scores, classes, torch.tensor([3])).flatten().tolist() == pytest.approx([0.7, 0.6])
    assert class_map(scores, classes, torch.tensor([9])).sum() == 0
    maps = torch.zeros(1, 8, 8)
    maps[:, :4] = 1  # the upper half
    upper = crop_map(maps, torch.tensor([[0.0, 0.0, 0.5, 1.0]]), 4)
    assert upper[:, :3].mean() > 0.99
    lower = crop_map(maps, torch.tensor([[0.5, 0.0, 0.5, 1.0]]), 4)
    assert lower[:, 1:].mean() < 0.01
    swapped = crop_map(maps, torch.tensor([[0.5, 0.0, 0.5, 1.0]]), 4, swapped=True)
    assert swapped.mean() > 0.4


def test_empty_teacher_maps_leave_the_area():
    mixed, out = batch_of(2), random_output(2)
    empty = {"teacher_a": torch.zeros(4, 3, 3), "teacher_b": torch.zeros(4, 3, 3)}
    losses, stats = TokenMixLabel()(MixedBatch(**{**vars(mixed), "aux": empty}), out)
    torch.testing.assert_close(losses["loss_cls"], AreaLabel()(mixed, out)[0]["loss_cls"], **CLOSE)
    assert stats["area_stood_in"] == 4


def test_tokenmix_without_maps_says_so_or_takes_the_area():
    mixed, out = batch_of(2), random_output(2)
    with pytest.raises(UserError, match="no field 'teacher'"):
        TokenMixLabel()(mixed, out)
    losses, _ = TokenMixLabel(fallback="area")(mixed, out)
    torch.testing.assert_close(losses["loss_cls"], AreaLabel()(mixed, out)[0]["loss_cls"], **CLOSE)
    assert TokenMixLabel().needs_aux == ("teacher",)
    assert TokenMixLabel(fallback="area").needs_aux == ()


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: PAL(smoothing=1.0), "smoothing=1.0"),
        (lambda: PAL(loss_smoothing=-0.1), "smoothing=-0.1"),
        (lambda: TransMix(weight=2), "weight=2"),
        (lambda: TransMix(downsample="bilinear"), "bilinear"),
        (lambda: TokenMixLabel(loss="mse"), "loss='mse'"),
        (lambda: TokenMixLabel(fallback="self"), "fallback='self'"),
        (lambda: AreaLabel(loss="mse"), "loss='mse'"),
        (lambda: SMMixLabel(consistency="features"), "consistency='features'"),
        (lambda: PAL().check(Mixup()), "PAL labels on Mixup"),
        (lambda: TransMix().check(NoMix()), "TransMix labels on NoMix"),
        (lambda: TLAlign().check(Mixup()), "TLAlign labels on Mixup"),
        (lambda: TokenMixLabel().check(Mixup()), "TokenMixLabel labels on Mixup"),
        (lambda: TokenMixLabel().check(SMMix()), "is moved"),
        (lambda: SMMixLabel().check(MaskMix()), "not MaskMix"),
        (lambda: SMMixLabel()(batch_of(0), random_output(0)), "setup"),
    ],
)
def test_what_cannot_work_is_refused(build, word):
    with pytest.raises(UserError, match=word):
        build()


@QUICK
@given(seed=st.integers(0, 10**6))
def test_attention_of_the_class_token_to_itself_does_not_matter(seed):
    mixed = batch_of(seed)
    g = torch.Generator().manual_seed(seed)
    q, k = torch.randn(4, 2, 10, 8, generator=g), torch.randn(4, 2, 10, 8, generator=g)
    row = attention_row(q[:, :1], k[:, :1], 8**-0.5, "cls", 1)
    moved = k[:, :1].clone()
    moved[:, :, 0] += 1.0  # the key of the class token: only its own column changes in proportion
    other = attention_row(q[:, :1], moved, 8**-0.5, "cls", 1)
    lam, other_lam = (attention_lambda(r.view(4, 3, 3), mixed)[0] for r in (row, other))
    torch.testing.assert_close(lam, other_lam, **CLOSE)  # A3
