"""A common corruption as a step of mmdet's and mmseg's pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mixpro_bench.registry import TRANSFORMS
from mixpro_bench.rng import seed32


@TRANSFORMS.register_module()
class Corrupt:
    """Corrupt an image right after it was loaded, at its own size, as Michaelis et al. do (arXiv:1907.07484).

    What is drawn is a function of seed, corruption, severity and the name of the image's file: the same for every
    model. Needs the extra ``robustness``.

    Args:
        corruption: One of `mixpro_bench.robustness.corrupt.ALL`.
        severity: 1 to 5; 0 changes nothing.
        seed: Seed.
    """

    def __init__(self, corruption: str, severity: int, seed: int = 0) -> None:
        from mixpro_bench.robustness.corrupt import library, names_of, severities_of

        (self.corruption,) = names_of([corruption])
        (self.severity,) = severities_of(severity) if severity else (0,)
        self.seed = seed
        if severity:
            library()

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``img``, BGR as it is loaded, uint8, (H, W, 3)."""
        if self.severity:
            from mixpro_bench.robustness.corrupt import corrupt

            name = Path(str(results["img_path"])).name
            seed = seed32(self.seed, f"corruption {self.corruption} of {name}", self.severity)
            image = np.ascontiguousarray(results["img"][..., ::-1])
            corrupted = corrupt(image, self.corruption, self.severity, seed)
            results["img"] = np.ascontiguousarray(corrupted[..., ::-1])
        return results

    def __repr__(self) -> str:
        """Tell what is done."""
        return f"{type(self).__name__}({self.corruption!r}, {self.severity}, seed={self.seed})"
