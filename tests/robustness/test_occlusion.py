"""Occlusion and shuffling against slow loops; the same for every model and every batch size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpro_bench.errors import UserError
from mixpro_bench.robustness.load import load_subject
from mixpro_bench.robustness.occlusion import PERCENT, area_under, occlude, random_orders
from mixpro_bench.robustness.part import make_part
from mixpro_bench.robustness.shuffling import orders, shuffle
from mixpro_bench.robustness.subject import Subject

grids = st.sampled_from([1, 2, 4])


@settings(deadline=None, max_examples=30)
@given(grids, st.sampled_from([*PERCENT, 33, 100]), st.integers(0, 99))
def test_occlude_is_the_slow_loop(grid: int, percent: float, seed: int):
    images = torch.randn(3, 3, 8, 16, generator=torch.Generator().manual_seed(seed))
    order = random_orders(seed, 0, torch.arange(3), grid * grid)
    expected = images.clone()
    for one, cells in zip(expected, order.tolist(), strict=True):
        for cell in cells[: round(grid * grid * percent / 100)]:
            row, column = divmod(cell, grid)
            one[:, row * 8 // grid : (row + 1) * 8 // grid, column * 16 // grid : (column + 1) * 16 // grid] = 0
    before = images.clone()
    assert torch.equal(occlude(images, order, percent, grid), expected)
    assert torch.equal(images, before)


@settings(deadline=None, max_examples=30)
@given(grids, st.integers(0, 99))
def test_shuffle_is_the_slow_loop(grid: int, seed: int):
    images = torch.randn(2, 3, 8, 16, generator=torch.Generator().manual_seed(seed))
    order = orders(seed, grid, torch.tensor([5, 9]))
    expected = torch.empty_like(images)
    h, w = 8 // grid, 16 // grid
    for b in range(2):
        for place, cell in enumerate(order[b].tolist()):
            (y, x), (v, u) = divmod(place, grid), divmod(cell, grid)
            expected[b, :, y * h : (y + 1) * h, x * w : (x + 1) * w] = images[
                b, :, v * h : (v + 1) * h, u * w : (u + 1) * w
            ]
    assert torch.equal(shuffle(images, order, grid), expected)


def test_draws_depend_on_seed_draw_and_picture_alone():
    one = random_orders(1, 0, torch.tensor([4, 7]), 16)
    assert torch.equal(one[1:], random_orders(1, 0, torch.tensor([7]), 16))
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one, random_orders(1, 1, torch.tensor([4, 7]), 16))
    assert not torch.equal(one, random_orders(2, 0, torch.tensor([4, 7]), 16))


def test_nothing_occluded_and_nothing_shuffled_is_clean_to_the_bit(subject: Subject):
    clean = subject.scores()
    order = random_orders(0, 0, subject.indices, 16)
    assert torch.equal(subject.scores(lambda x, y, n: occlude(x, order[n], 0, 4)), clean)
    assert torch.equal(subject.scores(lambda x, y, n: shuffle(x, orders(0, 1, n), 1)), clean)
    assert subject.labels.bincount().tolist() == [20, 20, 20]


def test_batch_size_changes_no_draw(toy):
    seen = []
    for batch_size in (7, 60):
        subject = load_subject(toy.config, toy.checkpoint, device="cpu", batch_size=batch_size)
        table = random_orders(0, 0, subject.indices, 16)
        images: dict[int, torch.Tensor] = {}

        def keep(x: torch.Tensor, y: torch.Tensor, n: torch.Tensor, table=table, images=images) -> torch.Tensor:
            images.update(zip(n.tolist(), shuffle(occlude(x, table[n], 50, 4), orders(0, 4, n), 4), strict=True))
            return x

        subject.scores(keep)
        seen.append(images)
    assert seen[0].keys() == seen[1].keys() == set(range(60))
    assert all(torch.equal(seen[0][n], seen[1][n]) for n in seen[0])


def test_the_parts_find_what_was_learned_and_lose_it(subject: Subject):
    finding = make_part("occlusion", dict(draws=2, saliency="own", grid=4)).run(subject, lambda done, total: None)
    assert finding.metrics["occlusion/random/00"] == finding.metrics["occlusion/salient/00"] > 80
    assert finding.metrics["occlusion/random/90"] < 70
    assert finding.metrics["occlusion/random/auc"] == pytest.approx(
        area_under(PERCENT, [finding.metrics[f"occlusion/random/{p:02d}"] for p in PERCENT])
    )
    assert len(finding.curves["random"].sd) == len(PERCENT)
    shuffled = make_part("shuffle", dict(grids=[4, 14])).run(subject, lambda done, total: None)
    assert shuffled.metrics["shuffle/1"] == finding.metrics["occlusion/random/00"]
    assert shuffled.notes == ("grids that do not divide the image: 14",)


def test_a_reference_is_read_by_its_card(toy, subject: Subject):
    by_card = make_part("occlusion", dict(draws=1, saliency=str(toy.checkpoint), grid=4))
    own = make_part("occlusion", dict(draws=1, saliency="own", grid=4))
    by_card.check(subject)
    a, b = (part.run(subject, lambda done, total: None).metrics for part in (by_card, own))
    assert a == b


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("occlusion", dict(grid=5), "grid=5 does not divide"),
        ("occlusion", dict(saliency="no/such.pth"), "such.pth"),
        ("occlusion", dict(draws=0), "draws=0"),
        ("shuffle", dict(grids=[5, 14]), "none of grids"),
        ("shuffle", dict(grids=[]), "whole numbers"),
        ("occlusion", dict(colour=1), "no option 'colour'"),
        ("ablation", {}, "no part 'ablation'"),
    ],
)
def test_what_cannot_work_is_refused(subject: Subject, name: str, options: dict, told: str):
    with pytest.raises(UserError, match=told):
        make_part(name, options).check(subject)
