"""The collector of cycles: off where many objects are made, and as it was afterwards."""

from __future__ import annotations

import gc

import pytest

from mixpro_bench.leaderboard.collector import collector_off


def test_it_is_off_inside_and_as_it_was_afterwards():
    frozen = gc.get_freeze_count()
    assert gc.isenabled()
    with collector_off():
        assert not gc.isenabled()
        with collector_off():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), collector_off():
        _ = 1 / 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_who_keeps_it_off_or_keeps_objects_frozen_finds_it_so():
    gc.disable()
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with collector_off():
            pass
        assert not gc.isenabled()
        assert gc.get_freeze_count() == frozen > 0
    finally:
        gc.unfreeze()
        gc.enable()
