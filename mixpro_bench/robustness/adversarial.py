"""Adversarial images within a distance of every pixel (L-infinity), by foolbox's attacks in pixel space.

FGSM, Goodfellow et al., arXiv:1412.6572; PGD, Madry et al., arXiv:1706.06083, without a random start, so that what is
found depends neither on the batch nor on a draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from mixpro_bench.errors import UserError
from mixpro_bench.robustness.part import Curve, Finding, Part, Steps
from mixpro_bench.robustness.subject import Advance, Subject, accuracy

EPSILONS = (0.0, 0.5, 1.0, 2.0, 4.0)
ATTACKS = ("fgsm", "pgd")


class _Logits(nn.Module):
    """The classifier as foolbox wants it: images in, logits out."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(images).logits


class Attacker:
    """Attacks normalised images in pixel space.

    Args:
        backbone: The classifier, in evaluation mode.
        mean: Of the normalisation, (3, 1, 1).
        std: Of the normalisation, (3, 1, 1).
        attack: ``"fgsm"`` or ``"pgd"``.
        steps: Steps of PGD; each goes a quarter of epsilon far.

    Raises:
        UserError: If foolbox is missing or the attack unknown.
    """

    def __init__(self, backbone: nn.Module, mean: Tensor, std: Tensor, attack: str, steps: int = 10) -> None:
        try:
            import foolbox
        except ImportError:
            raise UserError(
                "part adversarial needs foolbox, which is not installed: pip install 'mixpro_bench[robustness]'"
            ) from None
        self.mean, self.std = mean, std
        self.model = foolbox.PyTorchModel(
            _Logits(backbone).eval(),
            bounds=(0, 1),
            device=mean.device,
            preprocessing=dict(mean=mean.flatten().tolist(), std=std.flatten().tolist(), axis=-3),
        )
        makers: dict[str, Any] = {
            "fgsm": lambda: foolbox.attacks.LinfFastGradientAttack(),
            "pgd": lambda: foolbox.attacks.LinfPGD(rel_stepsize=0.25, steps=steps, random_start=False),
        }
        if attack not in makers:
            raise UserError(f"part adversarial: attack {attack!r} is none of {', '.join(makers)}")
        self.attack = makers[attack]()

    def __call__(self, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        """Return attacked images, normalised; with ``epsilon`` 0 the images themselves.

        Args:
            images: Normalised, (B, 3, H, W).
            labels: True classes, (B,).
            epsilon: Largest change of a pixel, in 1/255.
        """
        if epsilon == 0:
            return images
        pixels = (images * self.std + self.mean).clamp(0, 1)
        _, found, _ = self.attack(self.model, pixels, labels, epsilons=epsilon / 255)
        return (found - self.mean) / self.std


class Adversarial(Part):
    """Accuracy on images that are changed against the classifier.

    Args:
        epsilons: Largest change of a pixel, in 1/255.
        attacks: Among ``fgsm`` and ``pgd``.
        steps: Steps of PGD.
    """

    name: ClassVar[str] = "adversarial"

    def __init__(self, epsilons: Sequence[float] = EPSILONS, attacks: Sequence[str] = ATTACKS, steps: int = 10) -> None:
        self.epsilons = tuple(sorted({float(epsilon) for epsilon in epsilons}))
        self.attacks = tuple(attacks)
        self.steps = int(steps)
        if not self.epsilons or min(self.epsilons) < 0 or max(self.epsilons) > 255:
            raise UserError(f"part adversarial: epsilons={list(epsilons)} are changes of a pixel from 0 to 255")
        if self.steps < 1 or not self.attacks:
            raise UserError(f"part adversarial: steps={steps} and attacks={list(attacks)}: at least one of each")

    def check(self, subject: Subject) -> None:
        """Refuse what `Attacker` refuses."""
        super().check(subject)
        for attack in self.attacks:
            Attacker(subject.backbone, *subject.normalisation(), attack, self.steps)

    def run(self, subject: Subject, advance: Advance) -> Finding:
        """Measure; see `Part.run`."""
        steps = Steps(advance, len(self.attacks) * len(self.epsilons))
        metrics, curves = {}, {}
        clean = subject.scores()
        for attack in self.attacks:
            attacker = Attacker(subject.backbone, *subject.normalisation(), attack, self.steps)
            values = []
            for epsilon in self.epsilons:

                def perturb(images: Tensor, labels: Tensor, _: Tensor, attacker=attacker, epsilon=epsilon) -> Tensor:
                    return attacker(images, labels, epsilon)

                logits = subject.scores(perturb, advance=steps)
                values.append(accuracy(logits, subject.labels))
                metrics[f"adversarial/{attack}/{epsilon:g}"] = values[-1]
                # Of every picture: an attack that does not ascend is none.
                metrics[f"adversarial/{attack}/{epsilon:g}/loss_rise"] = _loss_rise(clean, logits, subject.labels)
            curves[attack] = Curve(self.epsilons, values, "largest change of a pixel, 1/255", "top-1, %")
        weak = [name for name, value in metrics.items() if name.endswith("/loss_rise") and value < 0]
        notes = tuple(f"{name} is negative: this attack does not ascend" for name in weak)
        return Finding(metrics, curves, notes)


def _loss_rise(clean: Tensor, attacked: Tensor, labels: Tensor) -> float:
    """Return by how much the cross-entropy of logits (N, K) rises on average, in nats."""
    return float(F.cross_entropy(attacked.double(), labels) - F.cross_entropy(clean.double(), labels))
