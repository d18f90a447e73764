"""Which shipped configs a test looks at: a representative few by default, all of them under ``-m configs``."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixpro_bench.config_index import Entry, list_configs

CONFIGS = Path(__file__).parents[2] / "configs"
ENTRIES = list_configs(CONFIGS)
ONE_A_FAMILY = ("deit_tiny_p14", "swin_tiny", "pvt_v2_b0", "cait_xxs24", "xcit_tiny12", "vit_digits")


def representative(entry: Entry) -> bool:
    """Tell whether a config is among the few: every family, every preset and every long protocol once or twice."""
    if entry.protocol.startswith("in1k-official-"):
        return entry.preset in ("transmix", "tl-align")
    if entry.method == "mixmim":
        return True
    if entry.task == "pretrain":
        return entry.backbone == "deit_tiny_p16" or (entry.backbone in ONE_A_FAMILY and entry.preset == "mixpro")
    return (entry.backbone, entry.protocol.rsplit("-", 1)[-1]) in (
        ("deit_tiny_p16", "1x"),
        ("deit_tiny_p16", "layerdecay"),
        ("deit_tiny_p14", "160k"),
        ("swin_tiny", "3x"),
        ("swin_tiny", "80k"),
    )


def params(entries: list[Entry]) -> list:
    """Return pytest parameters; what is not representative carries the mark ``configs``."""
    return [
        pytest.param(e, id=Path(e.file).stem, marks=() if representative(e) else pytest.mark.configs) for e in entries
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for ``entry``, ``pretraining`` or ``transfer`` the configs of that kind."""
    kinds = {
        "entry": lambda e: True,
        "pretraining": lambda e: e.task == "pretrain" and e.method != "mixmim" and "systems" not in Path(e.file).parts,
        "transfer": lambda e: e.task != "pretrain" and "systems" not in Path(e.file).parts,
    }
    for name, wanted in kinds.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, params([e for e in ENTRIES if wanted(e)]))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take all of this folder under ``-m configs``; leave out what has that mark if nothing is asked for."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    if "configs" in (config.option.markexpr or ""):
        for item in here:
            item.add_marker(pytest.mark.configs)
        return
    left_out = [item for item in here if item.get_closest_marker("configs")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
