"""One corruption of one picture: the 15 common ones and 4 more of Hendrycks and Dietterich (arXiv:1903.12261).

They come from the library `imagecorruptions-imaug`; what is added here is that they are a function of a seed, that
nothing else's draws are disturbed, and that small pictures are taken to a size at which the corruptions mean something.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from functools import cache
from types import ModuleType

import numpy as np
from PIL import Image

from mixpro_bench.errors import UserError

GROUPS = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    "extra": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),
}
COMMON = tuple(name for group in ("noise", "blur", "weather", "digital") for name in GROUPS[group])
ALL = (*COMMON, *GROUPS["extra"])
SEVERITIES = (1, 2, 3, 4, 5)
# Pictures are corrupted at this many pixels on their shorter side at least. Radii and kernels of the library are those
# of 224 pixels: at 32, which it just accepts, an elastic transform is noise and a motion blur as long as the picture.
LEAST = 64
# These draw from a generator of their own, which has to be seeded for itself.
_SEEDED = ("impulse_noise", "glass_blur")


def names_of(wanted: str | Sequence[str]) -> tuple[str, ...]:
    """Return the corruptions that are meant by ``"common"``, ``"all"``, a group's name, or names.

    Raises:
        UserError: If there is none of a name.
    """
    sets = {"common": COMMON, "all": ALL, **GROUPS}
    found: dict[str, None] = {}
    for one in [wanted] if isinstance(wanted, str) else wanted:
        if one not in sets and one not in ALL:
            raise UserError(f"there is no corruption {one!r}: choose among common, all, {', '.join((*GROUPS, *ALL))}")
        found.update(dict.fromkeys(sets.get(one, (one,))))
    if not found:
        raise UserError("no corruption is named: give common, all, or names")
    return tuple(found)


def severities_of(wanted: int | Sequence[int]) -> tuple[int, ...]:
    """Return severities in rising order.

    Raises:
        UserError: If one is not from 1 to 5.
    """
    told = [wanted] if isinstance(wanted, int) else list(wanted)
    if not told or any(isinstance(one, bool) or one not in SEVERITIES for one in told):
        raise UserError(f"severities={told}: whole numbers from 1 to 5 are expected")
    return tuple(sorted(set(told)))


@cache
def library() -> ModuleType:
    """Return the library of corruptions, its compiled parts ready, so that processes forked later need not wait.

    Raises:
        UserError: If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import imagecorruptions
    except ImportError as error:
        raise UserError(
            f"corruptions need imagecorruptions-imaug ({error}): install it with pip install "
            "'mixpro-bench[robustness]', or name a prepared ImageNet-C folder, or choose other --parts"
        ) from None
    imagecorruptions.corrupt(np.zeros((LEAST, LEAST, 3), np.uint8), 1, "glass_blur", seed=0)
    return imagecorruptions


def corrupt(picture: np.ndarray, name: str, severity: int, seed: int, least: int = LEAST) -> np.ndarray:
    """Return a picture corrupted, of the same size; a function of its arguments alone.

    A picture whose shorter side is below ``least`` pixels is enlarged (bicubic), corrupted, and reduced by the mean
    over areas.

    Args:
        picture: RGB, uint8, (H, W, 3); not changed in place.
        name: Of the corruption.
        severity: 1 to 5; 0 returns the picture as it is.
        seed: 32 bits.
        least: Shorter side from which on pictures are corrupted as they are; 32 at least.
    """
    if severity == 0:
        return picture
    h, w = picture.shape[:2]
    shorter = min(h, w)
    if shorter < least:
        size = (round(w * least / shorter), round(h * least / shorter))
        larger = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
        corrupted = _at_size(larger, name, severity, seed)
        return np.asarray(Image.fromarray(corrupted).resize((w, h), Image.Resampling.BOX))
    return _at_size(picture, name, severity, seed)


def _at_size(picture: np.ndarray, name: str, severity: int, seed: int) -> np.ndarray:
    corruptions = library()
    more = {"seed": seed} if name in _SEEDED else {}
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        # It tells on standard output that it handled an exception of its own.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with np.errstate(invalid="raise" if name == "spatter" else "ignore"):
                return corruptions.corrupt(picture, severity, name, **more)
    except FloatingPointError:
        return picture  # spatter divides by its largest drop: there was none on this picture
    finally:
        np.random.set_state(before)
