"""Checks classification data in ImageNet's layout: class folders, or one zip or tar per split."""

from __future__ import annotations

import json
import os
import re
import statistics
from collections import Counter
from pathlib import Path

from mixpro_bench.datasets.archive import PACKED, Archive, class_folders, find_split
from mixpro_bench.datasets.check.known import check_counts, imagenet_synsets
from mixpro_bench.datasets.check.looks import PictureLook, report_unreadable
from mixpro_bench.datasets.check.report import Report, plural, some
from mixpro_bench.datasets.check.scan import Scanner
from mixpro_bench.errors import UserError

_IMAGENET_NAME = re.compile(r"/(ILSVRC2012_val_|n\d{8}_)\d+[^/]*\.")
WORDNET_ID = re.compile(r"n\d{8}")
CLASS_FILES = ("imagenet_class_index.json", "class_to_idx.json", "classes.txt", "synsets.txt", "LOC_synset_mapping.txt")
# A class with fewer pictures than this share of the median is probably incomplete.
FEW = 0.1


def check_imagenet(
    root: Path,
    scanner: Scanner,
    classes: int = 1000,
    train: str = "train",
    val: str = "val",
    class_file: Path | None = None,
) -> Report:
    """Check classification data.

    Args:
        root: Folder that holds the splits.
        scanner: How pictures are looked at.
        classes: Expected number of classes.
        train: Name of the training split.
        val: Name of the validation split.
        class_file: Classes in the order of their labels: a JSON list or dict, or lines that begin with the folder's
            name, or with a number and the folder's name. None looks for one in ``root``.
    """
    report = Report("imagenet", root)
    names = {"train": train, "val": val}
    pictures: dict[str, int] = {}
    folders: dict[str, tuple[str, ...]] = {}
    for split, name in names.items():
        try:
            archive = Archive(root, name)
            found = class_folders(root, name)
        except UserError as error:
            report.error("missing", _missing(root, name, str(error)))
            continue
        folders[split], pictures[split] = found, len(archive.names)
        _check_split(report, archive, name, found)
        others = [path.name for path in _places(root, name) if path != archive.path]
        if others:
            report.warning("several", f"'{archive.path.name}' is read, and {some(others)} beside it is not: remove one")
        if len(found) != classes:
            report.error("classes", _wrong_number(name, found, classes), _lacking(found))
        seen = scanner.run(f"pictures of {name}", archive, archive.names, PictureLook(archive))
        report_unreadable(report, "picture", name, seen)
        _check_origin(report, split, name, archive.names, classes)
    if len(folders) == 2:
        odd = sorted(set(folders["train"]) ^ set(folders["val"]))
        if odd:
            report.error(
                "classes-differ",
                f"'{train}' and '{val}' do not have the same classes: only one of them has "
                f"{some(odd)}; complete or remove these folders",
                odd,
            )
        check_counts(report, pictures, names)
    if folders:
        found = folders.get("train", folders.get("val", ()))
        _check_identity(report, found, classes)
        _check_class_file(report, root, found, class_file)
    return report


def _check_split(report: Report, archive: Archive, name: str, found: tuple[str, ...]) -> None:
    """Look at how pictures are spread over the class folders."""
    loose = [one for one in archive.names if "/" not in one]
    if loose:
        report.error(
            "loose",
            f"{plural(len(loose), 'picture')} of '{name}' in no class folder ({some(loose)}): move them into the "
            "folders of their classes, for ImageNet's validation pictures by its list of labels",
            loose,
        )
    counts = Counter(one.split("/", 1)[0] for one in archive.names if "/" in one)
    empty = [folder for folder in found if not counts[folder]]
    if empty:
        report.error(
            "empty-class",
            f"{plural(len(empty), 'class folder')} of '{name}' without pictures "
            f"({some(empty)}): fetch these pictures or remove the folder",
            empty,
        )
    numbers = [number for number in counts.values() if number]
    if numbers:
        median = statistics.median(numbers)
        few = sorted(folder for folder, number in counts.items() if number < FEW * median)
        if few:
            report.warning(
                "few",
                f"{plural(len(few), 'class folder')} of '{name}' with less than a tenth of the usual "
                f"{median:g} pictures ({some(few)}): see whether the copy is complete",
                few,
            )
    report.count(
        name,
        stored=archive.path.suffix[1:] if archive.packed is not None else "folders",
        pictures=len(archive.names),
        classes=len(found),
        least_a_class=min(numbers, default=0),
        most_a_class=max(numbers, default=0),
    )


def _check_origin(report: Report, split: str, name: str, names: list[str], classes: int) -> None:
    """ImageNet's own file names tell which split a picture belongs to."""
    wrong = sum(("ILSVRC2012_val_" in one) == (split == "train") for one in names if _IMAGENET_NAME.search(one))
    if wrong > len(names) / 2 and split == "train":
        report.error(
            "swapped",
            f"{plural(wrong, 'picture')} of '{name}' bear the names of ImageNet's validation set: training and "
            "validation are exchanged; put them where they belong",
        )
    elif wrong:
        # Subsets such as Imagenette divide ImageNet's pictures anew, which is their own business.
        add = report.error if classes == 1000 else report.note
        add(
            "mixed",
            f"{plural(wrong, 'picture')} of '{name}' bear the names of ImageNet's other split: weights that were "
            "trained on ImageNet may have seen validation pictures; for ImageNet itself fetch the split again",
        )


def _check_identity(report: Report, found: tuple[str, ...], classes: int) -> None:
    """Look whether the folders are those of ImageNet, and whether their order is the one that is meant."""
    ids = [folder for folder in found if WORDNET_ID.fullmatch(folder)]
    if ids:
        strange = sorted(set(found) - set(imagenet_synsets()))
        if strange and classes == 1000:
            report.error(
                "other-classes",
                f"{plural(len(strange), 'class folder')} that ImageNet-1k does not have "
                f"({some(strange)}): this is another data set, or misnamed",
                strange,
            )
        elif strange:
            report.note(
                "other-classes",
                f"{plural(len(strange), 'class folder')} are not among ImageNet-1k's ({some(strange)})",
                strange,
            )
    elif classes == 1000 and len(found) == 1000:
        report.warning(
            "other-classes",
            f"the class folders are not named by WordNet ids ({some(found)}): labels follow "
            "the sorted names, which for published weights must be ImageNet's order",
        )
    if found and all(folder.isdigit() for folder in found) and sorted(found, key=int) != list(found):
        report.warning(
            "order",
            f"labels follow the sorted names of the folders, which puts '{found[1]}', '{found[2]}' "
            "after '0' and so on: pad the numbers with zeros if label n is to be folder n",
        )


def _check_class_file(report: Report, root: Path, found: tuple[str, ...], class_file: Path | None) -> None:
    """Compare a list of classes with the folders: the same, in the same order."""
    told = class_file is not None
    path = class_file or next((root / name for name in CLASS_FILES if (root / name).is_file()), None)
    if path is None:
        return
    listed = _read_class_file(path, found)
    add = report.error if told else report.warning
    if set(listed) != set(found):
        odd = sorted(set(listed) ^ set(found))
        add(
            "class-list",
            f"the class list '{path}' ({len(listed)} classes) and the {len(found)} class folders differ in "
            f"{some(odd)}: it belongs to another data set; give the right one by --class-file",
            odd,
        )
    elif listed != list(found):
        first = next(i for i, (one, other) in enumerate(zip(listed, found, strict=True)) if one != other)
        add(
            "class-order",
            f"the class list '{path}' has '{listed[first]}' as number {first}, but runs number the sorted "
            f"folders, where it is '{found[first]}': predictions would be read wrongly by this list; sort it",
        )


def _read_class_file(path: Path, found: tuple[str, ...]) -> list[str]:
    """Return the folder names that a file lists, in its order of labels."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            content = json.loads(text)
            if isinstance(content, dict):
                if all(isinstance(value, int) for value in content.values()):  # folder -> label
                    content = {value: key for key, value in content.items()}
                content = [value for _, value in sorted(content.items(), key=lambda item: int(item[0]))]
            return [str(one[0] if isinstance(one, list) else one) for one in content]
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise UserError(f"cannot read the class list '{path}' ({error}): correct --class-file") from error
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    columns = [[row[column].rstrip(",") for row in rows if len(row) > column] for column in (1, 0)]
    # Which column holds the folders shows by the folders; a list such as "0 n01440764 tench" numbers its lines.
    listed = max(columns, key=lambda column: len(set(column) & set(found)))
    if listed is columns[0] and all(row[0].isdigit() for row in rows if row):
        listed = [row[1].rstrip(",") for row in sorted((row for row in rows if len(row) > 1), key=lambda r: int(r[0]))]
    return listed


def _places(root: Path, name: str) -> list[Path]:
    return [path for path in (root / name, *(root / f"{name}{suffix}" for suffix in PACKED)) if path.exists()]


def _lacking(found: tuple[str, ...]) -> list[str]:
    """Return the classes of ImageNet-1k that are not there, if what is there is most of ImageNet-1k."""
    known = set(imagenet_synsets())
    return sorted(known - set(found)) if len(known & set(found)) > 900 else []


def _wrong_number(name: str, found: tuple[str, ...], classes: int) -> str:
    lacking = _lacking(found) if classes == 1000 else []
    which = f" (lacking: {some(lacking)})" if lacking else ""
    verb = "has" if len(found) < classes else "has as many as"
    return (
        f"'{name}' {verb} {plural(len(found), 'class folder')}, but {classes} are expected{which}: complete the copy, "
        f"or say --classes {len(found)} if that is what is meant"
    )


def _missing(root: Path, name: str, reason: str) -> str:
    """Say why a split cannot be read, and where it may be instead."""
    try:
        find_split(root, name)
        return reason
    except UserError:
        pass
    entries = sorted(entry.name for entry in os.scandir(root) if entry.is_dir()) if root.is_dir() else []
    if sum(bool(WORDNET_ID.fullmatch(entry)) for entry in entries) > 1:
        return f"'{root}' holds class folders and no split '{name}': give the folder above it"
    inside = next((place for place in ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC") if (root / place).is_dir()), None)
    if inside:
        return f"'{root}' has no split '{name}', but '{inside}' in it may: give '{root / inside}'"
    there = [*entries, *sorted(path.name for path in root.glob("*") if path.suffix in PACKED)]
    option = f" (there are {some(there)})" if there else ""
    return (
        f"'{root}' has no split '{name}': neither a folder nor a zip or tar of this name is there{option}; give the "
        "folder that holds the splits, or name them by --train and --val"
    )
