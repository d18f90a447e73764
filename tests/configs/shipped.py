"""The shipped configs, each read once for all tests, and small stand-ins for their backbones."""

from __future__ import annotations

import functools
from pathlib import Path

from mmengine.config import Config

from mixpro_bench.config import canonical_json, load_config
from mixpro_bench.config_index import Entry, list_configs

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
ENTRIES = list_configs(CONFIGS)


def of_system(entry: Entry) -> bool:
    """Tell whether a config is one of the systems': those have few files, and tests of their own."""
    return "systems" in Path(entry.file).parts


IN1K = [e for e in ENTRIES if e.protocol == "in1k-300e" and not of_system(e)]
# Sizes that make a backbone small and leave its image size, patches and stages as they are.
REDUCED = {
    "deit": dict(embed_dim=48, depth=4, num_heads=3),
    "swin": dict(embed_dim=24, depths=(1, 1, 1, 1), num_heads=(1, 2, 3, 4)),
    "pvt": dict(depths=(1, 1, 1, 1), embed_dims=(16, 24, 32, 48), num_heads=(1, 1, 2, 4)),
    "cait": dict(embed_dim=48, depth=4, num_heads=4),
    "xcit": dict(embed_dim=64, depth=4, num_heads=4),
}
WIDTHS = {"swin": [24, 48, 96, 192], "pvt": [16, 24, 32, 48], "deit": [48] * 4, "cait": [48] * 4, "xcit": [64] * 4}


@functools.cache
def _loaded(path: Path) -> Config:
    return load_config(path)


def loaded(path: str | Path) -> Config:
    """Return a shipped config; it must not be modified."""
    return _loaded(Path(path).resolve())


def family(backbone: str) -> str:
    return backbone.split("_")[0]


def reduced(backbone: str, config: Config, **more) -> dict:
    """Return the backbone of a config in the size of its family's stand-in."""
    plain = config.model.backbone.to_dict()
    if family(backbone) == "deit":
        plain["name"] = "deit_tiny_patch16_224"  # the sizes differ in what is reduced alone
    return {**plain, **REDUCED.get(family(backbone), {}), **more}


def widths(backbone: str, config: Config) -> list[int]:
    """Return the channels of what a reduced backbone gives the pyramid."""
    neck = config.model.neck
    own = neck["necks"][0] if "necks" in neck else neck
    return WIDTHS.get(family(backbone), list(own["in_channels"]))


class Once:
    """Tells whether something of the same content was there before, so that a test of two equal models runs once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, *contents: object) -> bool:
        key = canonical_json(contents)
        known = key in self._seen
        self._seen.add(key)
        return not known
