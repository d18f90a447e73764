"""Attacks: nothing changes at distance 0, no pixel goes too far, accuracy falls and loss rises."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mixpro_bench.errors import UserError
from mixpro_bench.robustness.adversarial import Attacker
from mixpro_bench.robustness.part import make_part
from mixpro_bench.robustness.subject import Subject


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_attacked_pixels_stay_near_and_in_range(subject: Subject, attack: str):
    mean, std = subject.normalisation()
    attacker = Attacker(subject.backbone, mean, std, attack, steps=4)
    images, labels, _ = next(subject.batches())
    found = attacker(images, labels, 8)
    pixels, attacked = images * std + mean, found * std + mean
    assert (attacked - pixels).abs().max() <= 8 / 255 + 1e-6
    assert (attacked - pixels).abs().max() > 7.9 / 255
    assert attacked.min() >= -1e-6
    assert attacked.max() <= 1 + 1e-6
    losses = [F.cross_entropy(subject.backbone(x).logits, labels) for x in (images, found)]
    assert losses[1] > losses[0] + 0.05
    assert attacker(images, labels, 0) is images


def test_fgsm_is_the_sign_of_the_gradient(subject: Subject):
    mean, std = subject.normalisation()
    images, labels, _ = next(subject.batches())
    pixels = (images * std + mean).requires_grad_()
    F.cross_entropy(subject.backbone((pixels - mean) / std).logits, labels, reduction="sum").backward()
    expected = (pixels + 2 / 255 * pixels.grad.sign()).clamp(0, 1).detach()
    found = Attacker(subject.backbone, mean, std, "fgsm")(images, labels, 2) * std + mean
    flat = pixels.grad.abs() < 1e-9  # whose sign is rounding
    assert torch.allclose(found[~flat], expected[~flat], atol=1e-5)


def test_accuracy_falls_with_distance(subject: Subject):
    part = make_part("adversarial", dict(epsilons=[4, 0, 16, 48], steps=5))
    part.check(subject)
    finding = part.run(subject, lambda done, total: None)
    for attack in ("fgsm", "pgd"):
        values = [finding.metrics[f"adversarial/{attack}/{epsilon}"] for epsilon in (0, 4, 16, 48)]
        assert values == sorted(values, reverse=True)
        assert values[-1] < values[0]
        assert finding.metrics[f"adversarial/{attack}/0/loss_rise"] == 0
        assert finding.metrics[f"adversarial/{attack}/16/loss_rise"] > 0
    assert finding.notes == ()
    assert all(not p.requires_grad and p.grad is None for p in subject.backbone.parameters())


@pytest.mark.parametrize("options", [dict(epsilons=[-1]), dict(epsilons=[]), dict(steps=0), dict(attacks=[])])
def test_options_out_of_range(options: dict):
    with pytest.raises(UserError, match="part adversarial"):
        make_part("adversarial", options)


def test_unknown_attack(subject: Subject):
    with pytest.raises(UserError, match="'cw' is none of fgsm, pgd"):
        make_part("adversarial", dict(attacks=["cw"])).check(subject)
