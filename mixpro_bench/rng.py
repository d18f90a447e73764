"""Randomness as a function: what is drawn depends on where it is drawn, never on what was drawn before.

Every draw of the project is a pure function of (seed, purpose, step, index). A resumed run, any number of workers and
any number of processes therefore see the same draws, and nothing has to be stored to resume.
"""

from __future__ import annotations

import hashlib

import numpy as np


def key(seed: int, purpose: str, step: int, index: int = 0) -> int:
    """Hash a place in a run to 128 bits.

    Args:
        seed: The run's seed.
        purpose: What is drawn, such as ``"mix"`` or ``"augment"``; different purposes never share draws.
        step: Epoch or step.
        index: Sample index, mixing group or rank within the step.

    Examples:
        >>> key(0, "mix", 3) == key(0, "mix", 3)
        True
        >>> key(0, "mix", 3) == key(0, "mix", 4)
        False
    """
    place = f"{seed}|{purpose}|{step}|{index}".encode()
    return int.from_bytes(hashlib.blake2b(place, digest_size=16).digest(), "little")


def rng(seed: int, purpose: str, step: int, index: int = 0) -> np.random.Generator:
    """Return the generator of one place in a run (Philox, counter-based).

    Args:
        seed: The run's seed.
        purpose: What is drawn.
        step: Epoch or step.
        index: Sample index, mixing group or rank within the step.

    Examples:
        >>> float(rng(0, "mix", 3).random()) == float(rng(0, "mix", 3).random())
        True
    """
    return np.random.Generator(np.random.Philox(key=key(seed, purpose, step, index)))


def seed32(seed: int, purpose: str, step: int, index: int = 0) -> int:
    """Return the 32-bit seed of a place, for generators that take no more (torch, random, NumPy's legacy one)."""
    return key(seed, purpose, step, index) & 0xFFFFFFFF
