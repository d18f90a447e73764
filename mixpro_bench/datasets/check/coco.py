"""Checks detection data in COCO's format."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixpro_bench.datasets.archive import EXTENSIONS
from mixpro_bench.datasets.check.known import COCO_NAMES, check_counts
from mixpro_bench.datasets.check.looks import Folder, PictureLook, report_unreadable
from mixpro_bench.datasets.check.report import Report, plural, some
from mixpro_bench.datasets.check.scan import Scanner
from mixpro_bench.datasets.coco import load_coco
from mixpro_bench.errors import UserError

# Boxes may stick out of the picture by rounding.
SLACK = 1.0


def check_coco(
    root: Path,
    scanner: Scanner,
    classes: int = 80,
    train: str | None = None,
    val: str | None = None,
    train_ann: str | None = None,
    val_ann: str | None = None,
) -> Report:
    """Check detection data.

    Args:
        root: Folder of the data.
        scanner: How pictures are looked at.
        classes: Expected number of categories; with 80 their names must be COCO's, by which mmdet takes them.
        train: Folder of the training pictures under ``root``; None looks for ``train2017``, ``train``, ...
        val: The same for validation.
        train_ann: Training annotations under ``root``; None looks for ``instances_*train*.json``.
        val_ann: The same for validation.
    """
    report = Report("coco", root)
    folders = {split: _folder(report, root, split, told) for split, told in (("train", train), ("val", val))}
    files = {split: _annotations(report, root, split, told) for split, told in (("train", train_ann), ("val", val_ann))}
    contents: dict[str, dict[str, Any]] = {}
    for split, file in files.items():
        if file is not None:
            try:
                contents[split] = load_coco(file)
            except UserError as error:
                report.error("annotations", str(error))
    for split, content in contents.items():
        name = _relative(files[split], root)
        _check_categories(report, name, content, classes)
        images = _check_images(report, name, content)
        _check_annotations(report, name, split, content, images)
        report.count(split, pictures=len(content["images"]), annotations=len(content["annotations"]))
        _check_origin(report, split, name, content)
    for split, content in contents.items():
        other = folders["val" if split == "train" else "train"]
        _check_pictures(report, scanner, split, content, folders[split], other)
    if len(contents) == 2:
        names = {split: [one.get("name") for one in contents[split]["categories"]] for split in contents}
        if names["train"] != names["val"]:
            odd = sorted({str(name) for name in names["train"]} ^ {str(name) for name in names["val"]})
            what = f"differ in the categories {some(odd)}" if odd else "list the categories in different orders"
            report.error(
                "classes-differ",
                f"the two annotation files {what}: labels would not mean the same in both; make them from one list",
                odd,
            )
        found = {split: len(content["images"]) for split, content in contents.items()}
        check_counts(report, found, {split: _relative(files[split], root) for split in found})
        _check_leak(report, contents)
    return report


def _folder(report: Report, root: Path, split: str, told: str | None) -> Path | None:
    places = [told] if told else [f"{split}2017", split, f"images/{split}2017", f"images/{split}"]
    found = next((root / place for place in places if (root / place).is_dir()), None)
    if found is None:
        there = sorted(path.name for path in root.iterdir() if path.is_dir())
        report.error(
            "missing",
            f"'{root}' has no folder of {split} pictures ({some(places, 4)} looked for, {some(there)} "
            f"there): correct the path or say --{split} FOLDER",
        )
    return found


def _annotations(report: Report, root: Path, split: str, told: str | None) -> Path | None:
    option = f"--{split}-ann FILE"
    if told:
        if (root / told).is_file():
            return root / told
        report.error("missing", f"the annotation file '{root / told}' does not exist: correct {option}")
        return None
    found = sorted(
        {path for folder in ("annotations", ".") for path in (root / folder).glob(f"instances_*{split}*.json")}
    )
    exact = [path for path in found if path.stem in (f"instances_{split}2017", f"instances_{split}")]
    if not found:
        report.error(
            "missing",
            f"'{root}' has no annotation file 'annotations/instances_{split}2017.json' nor "
            f"'instances_*{split}*.json': correct the path or say {option}",
        )
        return None
    if len(found) > 1 and not exact:
        report.error(
            "several",
            f"several files may be the {split} annotations "
            f"({some([_relative(path, root) for path in found])}): say which by {option}",
        )
        return None
    return (exact or found)[0]


def _relative(path: Path | None, root: Path) -> str:
    return "" if path is None else path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _check_categories(report: Report, name: str, content: Mapping[str, Any], classes: int) -> None:
    names = [str(one.get("name")) for one in content["categories"]]
    ids = [_id(one) for one in content["categories"]]
    for what, values in (("name", names), ("id", ids)):
        double = sorted(str(value) for value, number in Counter(values).items() if number > 1)
        if double:
            report.error(
                "double",
                f"'{name}' gives the category {what} {some(double)} more than once: each may occur once",
                double,
            )
    if len(names) != classes:
        report.error(
            "classes",
            f"'{name}' has {len(names)} categories, but "
            f"{classes} are expected: correct the file, or say --classes {len(names)}",
        )
    elif classes == len(COCO_NAMES) and set(names) != set(COCO_NAMES):
        odd = sorted(set(names) - set(COCO_NAMES))
        report.error(
            "other-classes",
            f"'{name}' has categories that COCO does not have ({some(odd)}): mmdet takes the "
            "categories by name and would leave out these; name them in the config",
            odd,
        )


def _check_images(report: Report, name: str, content: Mapping[str, Any]) -> dict[Any, Mapping[str, Any]]:
    """Check the list of images and return it by id."""
    ids = Counter(_id(one) for one in content["images"])
    double = [str(value) for value, number in ids.items() if number > 1]
    if double:
        report.error(
            "double",
            f"'{name}' gives {plural(len(double), 'image id')} more than once ({some(double)}): their "
            "annotations would be mixed; make the ids unique",
            double,
        )
    odd = [
        str(one.get("file_name", one.get("id")))
        for one in content["images"]
        if not (one.get("file_name") and _positive(one.get("width")) and _positive(one.get("height")))
    ]
    if odd:
        report.error(
            "image-entry",
            f"{plural(len(odd), 'image')} in '{name}' without file_name, width or height "
            f"({some(odd)}): complete the entries",
            odd,
        )
    return {_id(one): one for one in content["images"]}


def _check_annotations(
    report: Report, name: str, split: str, content: Mapping[str, Any], images: Mapping[Any, Mapping[str, Any]]
) -> None:
    """Check ids, boxes and masks; what mmdet leaves out by itself is a warning, what stops it an error."""
    categories = {_id(one) for one in content["categories"]}
    bad: dict[str, list[str]] = defaultdict(list)
    usable, with_usable, crowds = 0, set(), 0
    ids = Counter(_id(one) for one in content["annotations"])
    bad["double"] = [str(value) for value, number in ids.items() if number > 1]
    for one in content["annotations"]:
        kind = _fault(one, images.get(_id(one, "image_id")), categories)
        if kind is not None:
            bad[kind].append(str(one.get("id")))
        crowds += bool(one.get("iscrowd"))
        if kind in (None, "sticking-out") and not one.get("iscrowd"):
            usable += 1
            with_usable.add(_id(one, "image_id"))
    for kind, (level, text) in _FAULTS.items():
        if bad[kind]:
            which = f"{plural(len(bad[kind]), 'annotation')} in '{name}' (ids {some(bad[kind])}) {text}"
            (report.error if level == "error" else report.warning)(kind, which, bad[kind])
    empty = len(images) - len(with_usable)
    report.count(split, usable=usable, crowds=crowds, pictures_without=empty)
    if not usable:
        report.error("nothing", f"'{name}' has no annotation that a run could use: fetch the right file")
    elif empty:
        left_out = "left out of training" if split == "train" else "kept, for false alarms count"
        report.note("pictures-without", f"{plural(empty, 'picture')} in '{name}' without an object: {left_out}")
    if crowds:
        report.note("crowds", f"{plural(crowds, 'annotation')} in '{name}' of crowds: ignored by training and scoring")


_FAULTS = {
    "double": ("error", "occur more than once: mmdet refuses the file; make the ids unique"),
    "lost-image": ("error", "point to an image that the file does not list: remove them, or fetch the right file"),
    "lost-category": (
        "error",
        "point to a category that the file does not list: they would be left out; correct the categories",
    ),
    "box": ("error", "have no box of four finite numbers (x, y, width, height): correct or remove them"),
    "no-mask": ("error", "have no segmentation, which Mask R-CNN cannot do without: add masks or remove them"),
    "empty-box": (
        "warning",
        "have an empty or degenerate box (under one pixel, or no area): mmdet leaves them out; remove or correct them",
    ),
    "outside": ("warning", "have a box outside their picture: mmdet leaves them out; see whether the sizes are right"),
    "sticking-out": (
        "warning",
        "have a box that sticks out of its picture by more than a pixel: see whether it is right",
    ),
    "polygon": ("warning", "have no polygon of three or more points: mmdet ignores them; correct or remove them"),
}


def _fault(one: Mapping[str, Any], image: Mapping[str, Any] | None, categories: set[Any]) -> str | None:
    """Return what is wrong with an annotation, the worst first."""
    if image is None:
        return "lost-image"
    if _id(one, "category_id") not in categories:
        return "lost-category"
    box = one.get("bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(_finite(value) for value in box)):
        return "box"
    x, y, width, height = box
    if width < 1 or height < 1 or not _positive(one.get("area", 0)):
        return "empty-box"
    if _positive(image.get("width")) and _positive(image.get("height")):
        if x >= image["width"] or y >= image["height"] or x + width <= 0 or y + height <= 0:
            return "outside"
        far = max(-x, -y, x + width - image["width"], y + height - image["height"])
        if far > SLACK:
            return _mask_fault(one) or "sticking-out"
    return _mask_fault(one)


def _mask_fault(one: Mapping[str, Any]) -> str | None:
    mask = one.get("segmentation")
    if not mask:
        return "no-mask"
    if isinstance(mask, list):
        good = any(isinstance(part, list) and len(part) >= 6 and len(part) % 2 == 0 for part in mask)
    else:
        good = isinstance(mask, dict) and bool(mask.get("size")) and isinstance(mask.get("counts"), (list, str))
    return None if good else "polygon"


def _check_origin(report: Report, split: str, name: str, content: Mapping[str, Any]) -> None:
    """COCO's own addresses tell which split a picture belongs to."""
    other = "val2017" if split == "train" else "train2017"
    wrong = sum(f"/{other}/" in str(one.get("coco_url", "")) for one in content["images"])
    if wrong:
        report.error(
            "swapped",
            f"{plural(wrong, 'picture')} in '{name}' belong to COCO's {other}: training and validation "
            f"are exchanged or mixed; take the files as published, or name them by --{split}-ann",
        )


def _check_pictures(
    report: Report, scanner: Scanner, split: str, content: Mapping[str, Any], folder: Path | None, other: Path | None
) -> None:
    """Look at the files: there, readable, of the stated size."""
    if folder is None:
        return
    source = Folder(folder)
    there = set(source.names(EXTENSIONS))
    wanted = {str(one["file_name"]): one for one in content["images"] if one.get("file_name")}
    lacking = sorted(set(wanted) - there)
    if lacking:
        # Pictures may be numbered alike in both splits, so a few missing ones prove nothing.
        most = len(lacking) > len(wanted) / 2
        elsewhere = most and other is not None and sum((other / name).is_file() for name in lacking) > len(lacking) / 2
        way = (
            f"they are in '{other.name}', so training and validation are exchanged; correct the folders"
            if elsewhere and other is not None
            else f"fetch them, or name their folder by --{split}"
        )
        add = "swapped" if elsewhere else "missing-picture"
        report.error(
            add,
            f"{plural(len(lacking), 'picture')} of the {split} annotations are not in '{folder}' "
            f"({some(lacking)}): {way}",
            lacking,
        )
    extra = sorted(there - set(wanted))
    if extra:
        report.note(
            "extra",
            f"{plural(len(extra), 'picture')} in '{folder.name}' are not in the annotations ({some(extra)}): not read",
            extra,
        )
    names = sorted(set(wanted) & there)
    seen = scanner.run(f"pictures of {folder.name}", source, names, PictureLook(source))
    report_unreadable(report, "picture", folder.name, seen)
    wrong = [
        name
        for name, result in seen.items()
        if result["problem"] is None and result["size"] != [wanted[name].get("width"), wanted[name].get("height")]
    ]
    if wrong:
        report.error(
            "size",
            f"{plural(len(wrong), 'picture')} of '{folder.name}' of another size than the annotations "
            f"state ({some(wrong)}): boxes and masks would be misplaced; fetch the pictures again",
            wrong,
        )


def _check_leak(report: Report, contents: Mapping[str, Mapping[str, Any]]) -> None:
    """Look for pictures in both splits, by their addresses: names and ids may well be counted in each."""
    urls = [
        {str(one.get("coco_url") or one.get("flickr_url")) for one in contents[split]["images"]} - {"None"}
        for split in ("train", "val")
    ]
    both = sorted(urls[0] & urls[1])
    if both:
        report.error(
            "leak",
            f"{plural(len(both), 'picture')} in both splits ({some(both)}): validation would be on "
            "pictures that were trained on; remove them from one",
            both,
        )


def _id(one: Mapping[str, Any], key: str = "id") -> Any:
    """Return an id that can be looked up, whatever the file gives."""
    value = one.get(key)
    return value if isinstance(value, (int, str)) else f"no id: {value!r}"


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _positive(value: Any) -> bool:
    return _finite(value) and value > 0
