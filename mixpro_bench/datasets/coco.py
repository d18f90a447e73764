"""COCO annotation files: their categories, and merging them into coarser ones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mixpro_bench.errors import UserError
from mixpro_bench.files import write_text_atomic


def read_categories(annotation_file: str | Path) -> tuple[str, ...]:
    """Return the category names of a COCO file in the file's order, which is the order of mmdet's labels.

    Raises:
        UserError: The file is missing, is not COCO's format, or names a category twice.
    """
    return _names(load_coco(Path(annotation_file)), annotation_file)


def merge_categories(annotation_file: str | Path, out_file: str | Path, by: str = "supercategory") -> tuple[str, ...]:
    """Write a copy of a COCO file in which categories with the same value of ``by`` are one; the source stays as it is.

    The new categories have ids 1, 2, ... in the order in which they first occur among the old ones. Images, boxes and
    masks are untouched.

    Args:
        annotation_file: COCO file.
        out_file: Where the copy goes; written in one step.
        by: Key of the categories whose value names the merged one.

    Returns:
        Names of the merged categories, in label order.

    Raises:
        UserError: The file is missing, is not COCO's format, or has a category without ``by``.
    """
    data = load_coco(Path(annotation_file))
    lacking = [category["name"] for category in data["categories"] if not category.get(by)]
    if lacking:
        raise UserError(f"category '{lacking[0]}' in '{annotation_file}' has no '{by}': merge by another key")
    groups = list(dict.fromkeys(str(category[by]) for category in data["categories"]))
    new_id = {category["id"]: groups.index(str(category[by])) + 1 for category in data["categories"]}
    data["categories"] = [{"id": number, "name": name} for number, name in enumerate(groups, 1)]
    data["annotations"] = [{**one, "category_id": new_id[one["category_id"]]} for one in data["annotations"]]
    write_text_atomic(out_file, json.dumps(data))
    return tuple(groups)


def merged_file(annotation_file: str | Path, cache_dir: str | Path, by: str) -> Path:
    """Return a merged copy of ``annotation_file`` under ``cache_dir``, made if there is none of this very content."""
    source = Path(annotation_file)
    try:
        content = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise UserError(f"cannot read the annotation file '{source}' ({error.strerror}): correct its path") from error
    target = Path(cache_dir) / f"{source.stem}-by-{by}-{content}.json"
    if not target.is_file():
        merge_categories(source, target, by)
    return target


def load_coco(path: Path) -> dict[str, Any]:
    """Read a COCO file and check that it is one.

    Raises:
        UserError: The file is missing or is not COCO's format.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read the annotation file '{path}' ({error.strerror}): correct its path") from error
    except ValueError as error:
        raise UserError(f"'{path}' is not a JSON file ({error}): a COCO annotation file is expected") from error
    parts = ("images", "annotations", "categories")
    if not isinstance(data, dict) or not all(isinstance(data.get(part), list) for part in parts):
        raise UserError(f"'{path}' is not in COCO's format: lists named {', '.join(parts)} are expected in it")
    return data


def _names(data: dict[str, Any], path: str | Path) -> tuple[str, ...]:
    names = tuple(str(category["name"]) for category in data["categories"])
    double = sorted({name for name in names if names.count(name) > 1})
    if double or not names:
        raise UserError(f"'{path}' has {f'several categories named {double[0]!r}' if double else 'no categories'}")
    return names
