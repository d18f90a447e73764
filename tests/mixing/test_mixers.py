"""What holds for every mixer and every draw: where pixels come from, what lambda says, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpro_bench.backbones.contract import Output
from mixpro_bench.errors import UserError
from mixpro_bench.mixing import CutMix, MaskMix, Mixup, NoMix, SMMix, TokenCutMix, TokenMix
from mixpro_bench.mixing.batch import partners
from mixpro_bench.mixing.maskmix import draw_maskmix, kept_cells
from mixpro_bench.mixing.mixup import BoxDraws, paste_boxes
from mixpro_bench.mixing.smmix import extreme_windows
from mixpro_bench.rng import rng

QUICK = settings(max_examples=20, deadline=None)
PATCH, SIDE = 4, 24
MIXERS = {
    "maskmix": lambda: MaskMix(mask_patch=8),
    "cutmix": CutMix,
    "tokencutmix": lambda: TokenCutMix(patch=PATCH),
    "tokenmix": lambda: TokenMix(patch=PATCH),
    "tokenmix-random": lambda: TokenMix("random", patch=PATCH),
    "tokenmix-beta": lambda: TokenMix(patch=PATCH, ratio="beta"),
    "smmix": SMMix,
}
ALIGNED = [name for name in MIXERS if name != "cutmix"]


def generators(seed: int, groups: int = 1) -> list[np.random.Generator]:
    return [rng(seed, "mix", 0, group) for group in range(groups)]


def run(name: str, seed: int, batch: int = 6, groups: int = 1, images: torch.Tensor | None = None):
    g = torch.Generator().manual_seed(seed)
    if images is None:
        images = torch.randn(batch, 3, SIDE, SIDE, generator=g)
    labels = torch.randint(5, (batch,), generator=g)
    importance = torch.rand(batch, SIDE // PATCH, SIDE // PATCH, generator=g)
    unmixed = Output(torch.zeros(batch, 5), importance=importance)
    mixer = MIXERS[name]()
    return images, labels, mixer(images, labels, generators(seed, groups), unmixed, {"mark": labels.float()})


@pytest.mark.parametrize("name", MIXERS)
@QUICK
@given(seed=st.integers(0, 10**6), groups=st.sampled_from([1, 3]))
def test_every_pixel_is_of_one_image_and_lambda_is_the_pixel_share(name, seed, groups):
    batch = 6
    # Image i is constant i + 1: the mask can be read off the result (I1, I4).
    images = torch.arange(1.0, batch + 1)[:, None, None, None].expand(batch, 3, SIDE, SIDE).contiguous()
    before = images.clone()
    _, labels, mixed = run(name, seed, batch, groups, images)
    assert torch.equal(images, before)  # I6
    own = mixed.inputs == images
    theirs = mixed.inputs == images[mixed.partner]
    assert (own | theirs).all()
    is_a = torch.where((mixed.partner == torch.arange(batch))[:, None, None], mixed.region.share(SIDE, SIDE), own[:, 0])
    assert torch.equal(mixed.region.share(SIDE, SIDE), is_a.float())
    torch.testing.assert_close(mixed.lam_area, is_a.float().mean(dim=(1, 2)), rtol=0, atol=1e-6)
    torch.testing.assert_close(mixed.lam_area, mixed.region.area(), rtol=0, atol=1e-6)
    assert torch.equal(mixed.labels_a, labels)
    assert torch.equal(mixed.labels_b, labels[mixed.partner])
    assert torch.equal(mixed.aux["mark_b"], mixed.labels_b.float())
    size = batch // groups
    assert torch.equal(mixed.partner // size, torch.arange(batch) // size)


@pytest.mark.parametrize("name", ALIGNED)
@QUICK
@given(seed=st.integers(0, 10**6))
def test_every_token_is_of_one_image(name, seed):
    _, _, mixed = run(name, seed)
    share = mixed.region.share(SIDE // PATCH, SIDE // PATCH)
    assert ((share == 0) | (share == 1)).all()
    torch.testing.assert_close(share.mean(dim=(1, 2)), mixed.lam_area, rtol=0, atol=1e-6)  # R7


@pytest.mark.parametrize("name", [n for n in MIXERS if n != "smmix"])
def test_content_stays_where_it_was(name):
    for seed in range(5):
        images, _, mixed = run(name, seed)
        mask = mixed.region.share(SIDE, SIDE)[:, None].bool()
        assert torch.equal(mixed.inputs, torch.where(mask, images, images[mixed.partner]))


@pytest.mark.parametrize("name", MIXERS)
def test_draws_are_functions_of_the_generators(name):
    first, second, other = (run(name, seed)[2].inputs for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@QUICK
@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    batch=st.integers(2, 6),
    alpha=st.floats(0.05, 5),
    seed=st.integers(0, 10**6),
)
def test_maskmix_counts(rows, columns, batch, alpha, seed):
    cells = rows * columns
    draws = draw_maskmix(generators(seed), batch, cells, alpha)
    kept = kept_cells(draws, rows, columns)
    assert (np.sort(draws.partner) == np.arange(batch)).all()
    for i in range(batch):
        count = max(0, int(np.ceil(cells * draws.lam[i])))
        expected = np.zeros(cells, dtype=bool)
        for cell in draws.order[i][:count]:
            expected[cell] = True
        assert (kept[i].ravel() == expected).all()
        assert 1 <= count <= cells
    assert len(set(kept.sum(axis=(1, 2)).tolist())) == 1  # R3


@QUICK
@given(cell=st.integers(1, 12), h=st.integers(4, 20), w=st.integers(4, 20), seed=st.integers(0, 10**6))
def test_maskmix_area_by_pixel_and_by_count(cell, h, w, seed):
    images = torch.randn(4, 3, h, w)
    labels = torch.zeros(4, dtype=torch.long)
    pixel = MaskMix(cell)(images, labels, generators(seed))
    count = MaskMix(cell, area="count")(images, labels, generators(seed))
    assert torch.equal(pixel.inputs, count.inputs)
    counted = count.region.cells.float().mean(dim=(1, 2))
    torch.testing.assert_close(count.lam_area, counted, rtol=0, atol=1e-6)
    shares = pixel.region.share(h, w).mean(dim=(1, 2))
    torch.testing.assert_close(pixel.lam_area, shares, rtol=0, atol=1e-6)
    if h % cell == 0 and w % cell == 0:  # R2
        torch.testing.assert_close(count.lam_area, pixel.lam_area, rtol=0, atol=1e-6)


def test_maskmix_positions_differ_between_samples():
    kept = kept_cells(draw_maskmix(generators(3), 8, 49, 1.0), 7, 7)
    assert len({row.tobytes() for row in kept}) > 1


@QUICK
@given(seed=st.integers(0, 10**6), alpha=st.floats(0.1, 4))
def test_mixup(seed, alpha):
    images, labels = torch.randn(4, 3, 5, 7), torch.arange(4)
    mixed = Mixup(alpha)(images, labels, generators(seed))
    lam = mixed.lam_area[:, None, None, None]
    torch.testing.assert_close(mixed.inputs, lam * images + (1 - lam) * images.flip(0), rtol=1e-5, atol=1e-5)
    assert mixed.partner.tolist() == [3, 2, 1, 0]
    assert len(set(mixed.lam_area.tolist())) == 1


def test_pasting_boxes_takes_any_partner():
    images = torch.randn(4, 3, 6, 6)
    boxes = np.array([[0, 2, 1, 5], [0, 2, 1, 5], [3, 6, 0, 6], [2, 2, 2, 2]])
    partner = np.array([3, 3, 0, 1])
    expected = images.clone()
    for i, (top, bottom, left, right) in enumerate(boxes):
        expected[i, :, top:bottom, left:right] = images[partner[i], :, top:bottom, left:right]
    assert torch.equal(paste_boxes(images, partner, boxes), expected)
    shuffled = np.array([2, 0, 3, 1])
    same_box = np.repeat(boxes[:1], 4, axis=0)
    expected = images.clone()
    expected[:, :, 0:2, 1:5] = images[torch.from_numpy(shuffled), :, 0:2, 1:5]
    assert torch.equal(paste_boxes(images, shuffled, same_box), expected)


@QUICK
@given(seed=st.integers(0, 10**6))
def test_tokenmix_takes_at_most_what_it_wants(seed):
    mixer = TokenMix(patch=1)
    draws = mixer.draw(generators(seed), 2, 14, 14)
    assert 0 < draws.taken[0].sum() <= 112  # R5
    assert (draws.taken[0] == draws.taken[1]).all()
    random = TokenMix("random", patch=1).draw(generators(seed), 2, 14, 14)
    assert random.taken[0].sum() == 112


def test_token_boxes_are_never_empty_unless_wanted():
    images, labels = torch.zeros(2, 3, 24, 24), torch.zeros(2, dtype=torch.long)
    lams = {empty: [] for empty in (True, False)}
    for empty, seen in lams.items():
        for seed in range(60):
            seen.append(float(TokenCutMix(4, empty=empty)(images, labels, generators(seed)).lam_area[0]))
    assert max(lams[True]) == 1
    assert max(lams[False]) < 1


@QUICK
@given(seed=st.integers(0, 10**6), groups=st.sampled_from([1, 2]))
def test_smmix_windows_against_a_loop(seed, groups):
    g = torch.Generator().manual_seed(seed)
    batch, side, cell = 4, 6, 2
    images = torch.randn(batch, 3, side * cell, side * cell, generator=g)
    importance = torch.rand(batch, side, side, generator=g)
    mixer = SMMix()
    draws = mixer.draw(generators(seed, groups), batch, side)
    assert all(1 <= r <= 4 for r in draws.side)  # R6
    mixed = mixer.replay(images, torch.arange(batch), importance, draws)
    expected = images.clone()
    for i in range(batch):
        r, j = int(draws.side[i]), int(draws.partner[i])
        places = [(y, x) for y in range(side - r + 1) for x in range(side - r + 1)]
        sums = {k: [float(importance[k, y : y + r, x : x + r].sum()) for y, x in places] for k in (i, j)}
        ty, tx = places[int(np.argmin(sums[i]))]
        sy, sx = places[int(np.argmax(sums[j]))]
        expected[i, :, ty * cell : (ty + r) * cell, tx * cell : (tx + r) * cell] = images[
            j, :, sy * cell : (sy + r) * cell, sx * cell : (sx + r) * cell
        ]
        assert float(mixed.lam_area[i]) == pytest.approx(1 - r * r / side**2, abs=1e-6)
    assert torch.equal(mixed.inputs, expected)  # I5


def test_smmix_windows_move_with_the_importance():
    importance = torch.zeros(1, 8, 8)
    importance[0, 1, 1], importance[0, 6, 6] = 1.0, -1.0
    least, most = extreme_windows(importance, np.array([1]))
    shifted_least, shifted_most = extreme_windows(importance.roll((1, -1), (1, 2)), np.array([1]))
    step = torch.tensor([[1, -1]])
    assert torch.equal(least + step, shifted_least)
    assert torch.equal(most + step, shifted_most)


def test_no_mixing_keeps_everything():
    images, labels = torch.randn(3, 3, 4, 4), torch.arange(3)
    mixed = NoMix()(images, labels, generators(0))
    assert mixed.inputs is images
    assert mixed.lam_area.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: MaskMix(mask_patch=0), "mask_patch=0"),
        (lambda: MaskMix(alpha=0), "alpha=0"),
        (lambda: MaskMix(area="cells"), "area='cells'"),
        (lambda: CutMix(alpha=-1), "alpha=-1"),
        (lambda: Mixup(alpha=0), "alpha=0"),
        (lambda: TokenMix("blocks"), "kind='blocks'"),
        (lambda: TokenMix(kept=1.5), "kept=1.5"),
        (lambda: TokenMix(extra=-1), "extra=-1"),
        (lambda: TokenMix(ratio="cosine"), "ratio='cosine'"),
        (lambda: TokenCutMix(patch=0), "patch=0"),
        (lambda: TokenCutMix(patch=12).setup(None, 8), "patch=12"),
        (lambda: TokenCutMix().setup((20, 20), 8), "does not divide"),
        (lambda: TokenCutMix().grid(8, 8), "does not know the model patch"),
        (lambda: MaskMix(56).setup(None, 16), "mask_patch=56"),  # I3
        (lambda: SMMix(low=0.8, high=0.5), "low=0.8"),
        (lambda: SMMix().setup((8, 8), 8), "at least 2 x 2"),
        (lambda: SMMix()(torch.zeros(2, 3, 8, 8), torch.zeros(2), generators(0)), "importance"),
        (lambda: partners(generators(0), 3, "flip"), "3 samples"),
        (lambda: partners(generators(0), 1, "shuffle"), "one sample"),
        (lambda: partners(generators(0, 2), 5, "shuffle"), "do not divide 5"),
    ],
)
def test_what_cannot_work_is_refused(build, word):
    with pytest.raises(UserError, match=word):
        build()


def test_box_draws_are_clipped():
    draws = BoxDraws(*(np.array([v]) for v in (0.0, 0, 0, 0)))
    images, labels = torch.randn(2, 3, 8, 8), torch.arange(2)
    pair = BoxDraws(*(np.repeat(v, 2) for v in (draws.lam, draws.cy, draws.cx)), np.array([1, 0]))
    mixed = CutMix().replay(images, labels, pair)
    assert mixed.lam_area.tolist() == [0.75, 0.75]  # R4: half of each side lies outside
