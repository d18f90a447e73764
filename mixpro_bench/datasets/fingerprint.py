"""Which data a run saw, in 64 hexadecimal digits, and whether it is there at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mixpro_bench.datasets.archive import PACKED, find_split
from mixpro_bench.datasets.settings import inner_dataset, resolve_root
from mixpro_bench.errors import UserError

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def fingerprint(data: Mapping[str, Any]) -> str:
    """Return the sha256 of a suite's data settings and of the data they name.

    Pictures count by relative name and size, annotation and class files by content, so a big set costs one listing.
    Where the data lies, and whether it is kept decoded, does not count.

    Args:
        data: Settings as in `mixpro_bench.datasets.settings`: one section, or all of them.

    Raises:
        UserError: The data are not there.
    """
    sections = {"set": data} if "root" in data else dict(data)
    digest = hashlib.sha256()
    for name, section in sorted(sections.items()):
        digest.update(name.encode())
        told = {key: value for key, value in section.items() if key not in ("root", "cache")}
        digest.update(json.dumps(told, sort_keys=True).encode())
        root = resolve_root(section["root"])
        for path in _named(root, section):
            _update(digest, path, root)
    return digest.hexdigest()


def fingerprint_config(cfg: Mapping[str, Any]) -> str:
    """Return the sha256 of the data that a resolved config's loaders read, by the same rules as `fingerprint`.

    Raises:
        UserError: The data are not there.
    """
    digest = hashlib.sha256()
    for _, base, paths in _sources(cfg):
        for path in paths:
            _update(digest, path, base)
    return digest.hexdigest()


def check_data(cfg: Mapping[str, Any]) -> None:
    """Refuse a resolved config whose loaders name files or folders that are missing or empty.

    Raises:
        UserError: With the loader, the path and the way out.
    """
    for sentence in missing_data(cfg):
        raise UserError(
            f"{sentence}: correct the data root in the config, or run 'mixpro-bench make-data' for the built-in data"
        )


def missing_data(cfg: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for every file or folder that a resolved config's loaders name and that is missing or empty."""
    for loader, _, paths in _sources(cfg):
        for path in paths:
            if not path.exists():
                yield f"{loader}.dataset names '{path}', which does not exist"
            elif path.is_dir() and not any(path.iterdir()):
                yield f"{loader}.dataset names '{path}', which is empty"


def roots_of(cfg: Mapping[str, Any]) -> list[Path]:
    """Return the data folders that a resolved config's loaders read from, each once."""
    return list(dict.fromkeys(base for _, base, _ in _sources(cfg)))


def _sources(cfg: Mapping[str, Any]) -> Iterator[tuple[str, Path, list[Path]]]:
    """Yield (loader, root, files and folders it reads), each split once."""
    seen = set()
    for loader in LOADERS:
        dataset = inner_dataset((cfg.get(loader) or {}).get("dataset"))
        if not isinstance(dataset, Mapping):
            continue
        base = Path(dataset.get("data_root") or dataset.get("root") or "")
        if "split" in dataset:
            paths = [_split(base, dataset["split"])]
        else:
            parts = [dataset.get("ann_file"), *(dataset.get("data_prefix") or {}).values()]
            paths = [base / part for part in parts if part]
        if dataset.get("teacher_maps"):
            paths.append(Path(dataset["teacher_maps"]))
        if paths and tuple(paths) not in seen:
            seen.add(tuple(paths))
            yield loader, base, paths


def _named(root: Path, section: Mapping[str, Any]) -> list[Path]:
    """Return the files and folders that a section of the settings names."""
    paths = []
    for split in ("train", "val"):
        value = section[split]
        if isinstance(value, Mapping):
            paths += [root / value["ann"], root / value["images"]]
        elif isinstance(value, str):
            paths.append(_split(root, value))
        else:
            paths += [root / part for part in value]
    if isinstance(section.get("classes"), str):
        paths.append(root / section["classes"])
    return paths


def _split(root: Path, split: str) -> Path:
    """Return a classification split's folder, zip or tar; the folder's name where none is there."""
    try:
        return find_split(root, split)
    except UserError:
        return root / split


def _update(digest: Any, path: Path, root: Path) -> None:
    """Feed a file's content (annotations) or a listing (pictures, archives) to the hash."""
    if path.is_dir():
        for where, folders, files in os.walk(path, followlinks=True):
            folders.sort()
            for file in sorted(files):
                full = Path(where, file)
                digest.update(f"{os.path.relpath(full, root)}|{full.stat().st_size}\n".encode())
    elif not path.is_file():
        raise UserError(f"'{path}' does not exist: correct the data root in the config or MIXPRO_DATA_ROOT")
    elif path.suffix == ".safetensors":  # the header says what the tensors hold, which may be gigabytes
        with path.open("rb") as stream:
            digest.update(stream.read(int.from_bytes(stream.read(8), "little")))
    elif path.suffix in PACKED:
        digest.update(f"{path.name}|{path.stat().st_size}\n".encode())
    else:
        digest.update(path.read_bytes())
