"""Corruptions of single pictures: functions of their arguments, growing with severity, without side effects."""

from __future__ import annotations

import numpy as np
import pytest

from mixpro_bench.errors import UserError
from mixpro_bench.robustness.corrupt import ALL, COMMON, GROUPS, corrupt, names_of, severities_of

pytest.importorskip("imagecorruptions")


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A smooth picture with edges, 40 x 72."""
    rows, columns = np.mgrid[:40, :72]
    channels = [rows * 5, columns * 3, 120 + 100 * ((rows // 8 + columns // 8) % 2)]
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ALL)
def test_a_corruption_is_a_function_of_its_arguments(name: str, photo: np.ndarray) -> None:
    before = photo.copy()
    once = corrupt(photo, name, 3, seed=5)
    np.random.random(7)
    assert np.array_equal(once, corrupt(photo, name, 3, seed=5))
    assert once.shape == photo.shape
    assert once.dtype == np.uint8
    assert not np.array_equal(once, photo)
    assert np.array_equal(photo, before)
    np.random.seed(0)
    kept = np.random.get_state()[1].copy()
    corrupt(photo, name, 1, seed=6)
    assert np.array_equal(np.random.get_state()[1], kept)


@pytest.mark.parametrize("name", ["gaussian_noise", "impulse_noise", "glass_blur", "frost", "elastic_transform"])
def test_what_is_drawn_follows_the_seed(name: str, photo: np.ndarray) -> None:
    assert not np.array_equal(corrupt(photo, name, 3, seed=5), corrupt(photo, name, 3, seed=6))


def test_severity_0_is_the_picture_itself(photo: np.ndarray) -> None:
    assert all(corrupt(photo, name, 0, seed=1) is photo for name in ALL)


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "defocus_blur", "contrast", "jpeg_compression"])
def test_severity_5_changes_more_than_severity_1(name: str, photo: np.ndarray) -> None:
    weak, strong = (np.abs(corrupt(photo, name, s, 2).astype(int) - photo).mean() for s in (1, 5))
    assert strong > 1.5 * weak


def test_a_picture_that_is_large_enough_is_the_librarys_own(photo: np.ndarray) -> None:
    import imagecorruptions

    assert np.array_equal(
        corrupt(photo, "contrast", 4, seed=0, least=32), imagecorruptions.corrupt(photo, 4, "contrast")
    )


def test_pictures_below_what_the_library_takes(photo: np.ndarray) -> None:
    small = photo[:9, :11]
    for name in ALL:
        assert corrupt(small, name, 5, seed=0).shape == small.shape


def test_names() -> None:
    assert names_of("common") == COMMON
    assert len(COMMON) == 15
    assert names_of("all") == ALL
    assert len(ALL) == 19
    assert names_of(["noise", "fog", "fog"]) == (*GROUPS["noise"], "fog")
    with pytest.raises(UserError, match="no corruption 'fogg'"):
        names_of("fogg")
    with pytest.raises(UserError, match="no corruption is named"):
        names_of([])


def test_severities() -> None:
    assert severities_of(3) == (3,)
    assert severities_of([5, 1, 5]) == (1, 5)
    for wrong in (0, 6, [], [1, 7], True):
        with pytest.raises(UserError, match="from 1 to 5"):
            severities_of(wrong)
