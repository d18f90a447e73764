"""Checks segmentation data in ADE20K's SceneParsing layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixpro_bench.datasets.ade import IGNORED, IMAGE_SUFFIXES, MASK_SUFFIX, ClassFile, check_values, read_class_file
from mixpro_bench.datasets.check.known import check_counts
from mixpro_bench.datasets.check.looks import MASK_MODES, Folder, MaskLook, PictureLook, report_unreadable
from mixpro_bench.datasets.check.report import Report, plural, some
from mixpro_bench.datasets.check.scan import Scanner
from mixpro_bench.errors import UserError

DEFAULT_CLASSES = 150
ADE_LIST = "objectInfo150.txt"


def check_ade(
    root: Path,
    scanner: Scanner,
    classes: int | None = None,
    train: str = "training",
    val: str = "validation",
    class_file: Path | None = None,
    reduce_zero_label: bool = True,
) -> Report:
    """Check segmentation data.

    Args:
        root: Folder that holds ``images`` and ``annotations``.
        scanner: How pictures and masks are looked at.
        classes: Expected number of classes; None takes the class file's if one is told, else 150.
        train: Folder of the training split in both.
        val: Folder of the validation split in both.
        class_file: Class names, see `mixpro_bench.datasets.ade.read_class_file`; None looks for one in ``root``.
        reduce_zero_label: Value 0 is unlabelled and classes begin at 1, as in ADE20K; else 0 is the first class.
    """
    report = Report("ade20k", root)
    classes = _check_classes(report, root, classes, class_file, reduce_zero_label)
    inner = root / "ADEChallengeData2016"
    if not (root / "images").is_dir() and inner.is_dir():
        report.error("missing", f"'{root}' has no 'images', but '{inner.name}' in it has: give '{inner}'")
        return report
    labels: set[int] = set()
    found = {}
    for split, name in (("train", train), ("val", val)):
        images, masks = Folder(root / "images" / name), Folder(root / "annotations" / name)
        missing = [folder.path for folder in (images, masks) if not folder.path.is_dir()]
        if missing:
            report.error(
                "missing",
                f"the folder '{missing[0]}' does not exist: ADE20K's layout is "
                "images/{training,validation} and annotations/{training,validation}; correct the path or "
                f"say --{split} NAME",
            )
            continue
        pairs = _check_pairs(report, name, images, masks)
        found[split] = len(pairs)
        report.count(name, pictures=len(pairs))
        _check_origin(report, split, name, list(pairs.values()))
        seen = scanner.run(f"masks of {name}", masks, list(pairs), MaskLook(masks, images, pairs))
        report_unreadable(report, "mask", f"annotations/{name}", seen)
        labels |= _check_masks(report, name, seen, classes, reduce_zero_label)
        pictures = scanner.run(f"pictures of {name}", images, list(pairs.values()), PictureLook(images))
        report_unreadable(report, "picture", f"images/{name}", pictures)
    if len(found) == 2:
        check_counts(report, found, {"train": train, "val": val})
    _check_coverage(report, labels, classes, reduce_zero_label, scanner.deep)
    return report


def _check_classes(
    report: Report, root: Path, classes: int | None, class_file: Path | None, reduce_zero_label: bool
) -> int:
    """Compare the class list with the expected number and return the latter."""
    told = class_file is not None
    path = class_file or next((root / name for name in ("classes.txt", ADE_LIST) if (root / name).is_file()), None)
    if path is None:
        return classes or DEFAULT_CLASSES
    expected = classes or DEFAULT_CLASSES
    try:
        listed = _read_ade_list(path) if path.name == ADE_LIST else read_class_file(path)
        expected = classes or (len(listed.names) if told else DEFAULT_CLASSES)
        if len(listed.names) != expected:
            report.error(
                "class-list",
                f"the class list '{path}' names {plural(len(listed.names), 'class')}, but {expected} "
                "are expected: it belongs to another data set, or say "
                f"--classes {len(listed.names)}",
            )
        else:
            check_values(listed, reduce_zero_label, path)
    except UserError as error:
        report.error("class-list", str(error))
    return expected


def _read_ade_list(path: Path) -> ClassFile:
    """Read the table that ADE20K's SceneParsing set brings along: a head line, then the value first, the name last."""
    try:
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
        return ClassFile(tuple(row[-1].strip() for row in rows), tuple(int(row[0]) for row in rows))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the class list '{path}' ({error}): fetch it again or remove it") from error


def _check_pairs(report: Report, name: str, images: Folder, masks: Folder) -> dict[str, str]:
    """Return picture names by mask name, for those that have both."""
    pictures = images.names(IMAGE_SUFFIXES)
    there = set(masks.names((MASK_SUFFIX,)))
    suffixes = sorted({Path(picture).suffix for picture in pictures})
    if not pictures:
        report.error("missing", f"'{images.path}' holds no pictures ({', '.join(IMAGE_SUFFIXES)}): fetch them")
    elif len(suffixes) > 1:
        report.error(
            "suffixes",
            f"'{images.path}' holds pictures of several suffixes ({', '.join(suffixes)}), of which "
            "mmseg reads one: convert the others",
        )
    pairs = {Path(picture).with_suffix(MASK_SUFFIX).as_posix(): picture for picture in pictures}
    alone = [picture for mask, picture in pairs.items() if mask not in there]
    if alone:
        report.error(
            "no-mask",
            f"{plural(len(alone), 'picture')} of 'images/{name}' without a mask in "
            f"'annotations/{name}' ({some(alone)}): fetch the masks or remove the pictures",
            alone,
        )
    extra = sorted(there - set(pairs))
    if extra:
        report.warning(
            "no-picture",
            f"{plural(len(extra), 'mask')} of 'annotations/{name}' without a picture in "
            f"'images/{name}' ({some(extra)}): not read; fetch the pictures or remove the masks",
            extra,
        )
    return {mask: picture for mask, picture in pairs.items() if mask in there}


def _check_origin(report: Report, split: str, name: str, pictures: list[str]) -> None:
    """ADE20K's own file names tell which split a picture belongs to."""
    other = "ADE_val_" if split == "train" else "ADE_train_"
    wrong = [picture for picture in pictures if Path(picture).name.startswith(other)]
    if wrong:
        report.error(
            "swapped",
            f"{plural(len(wrong), 'picture')} of 'images/{name}' bear the names of the other split "
            f"({some(wrong)}): training and validation are exchanged or mixed; put them where they belong",
            wrong,
        )


def _check_masks(
    report: Report, name: str, seen: Mapping[str, Mapping[str, Any]], classes: int, reduce_zero_label: bool
) -> set[int]:
    """Check mode, size and labels of the masks and return the labels seen."""
    good = {mask: result for mask, result in seen.items() if result["problem"] is None}
    where, largest = f"annotations/{name}", classes - 1 + int(reduce_zero_label)
    colour = [mask for mask, result in good.items() if result["mode"] not in MASK_MODES]
    if colour:
        report.error(
            "colour-mask",
            f"{plural(len(colour), 'mask')} of '{where}' are colour pictures "
            f"({some(colour)}): mmseg needs one value a pixel; convert the colours to class numbers, or take the "
            "SceneParsing release",
            colour,
        )
    palette = [mask for mask, result in good.items() if result["mode"] == "P"]
    if palette:
        report.warning(
            "palette-mask",
            f"{plural(len(palette), 'mask')} of '{where}' have a palette ({some(palette)}): "
            "with Pillow, mmseg's default, the index is read, with other readers the colour; save them as grey",
            palette,
        )
    deep = [mask for mask, result in good.items() if str(result["mode"]).startswith("I")]
    wrapped = [mask for mask in deep if max(good[mask]["labels"], default=0) > IGNORED]
    if wrapped:
        report.error(
            "16-bit-mask",
            f"{plural(len(wrapped), 'mask')} of '{where}' hold 16-bit values above 255 "
            f"({some(wrapped)}): mmseg cuts them to 8 bits, which makes other labels of them; convert them",
            wrapped,
        )
    elif deep:
        report.warning(
            "16-bit-mask",
            f"{plural(len(deep), 'mask')} of '{where}' are stored in 16 bits ({some(deep)}): "
            "read rightly as long as no value is above 255; save them in 8 bits",
            deep,
        )
    out = {
        mask: max(value for value in result["labels"] if value != IGNORED)
        for mask, result in good.items()
        if mask not in wrapped and any(largest < value != IGNORED for value in result["labels"])
    }
    if out:
        report.error(
            "labels",
            f"{plural(len(out), 'mask')} of '{where}' with labels up to {max(out.values())} "
            f"({some(list(out))}), but with {classes} classes and reduce_zero_label={reduce_zero_label} the "
            f"largest is {largest}: correct the masks, or say --classes",
            out,
        )
    sizes = [mask for mask, result in good.items() if result.get("picture_size") not in (None, result["size"])]
    if sizes:
        report.error(
            "size",
            f"{plural(len(sizes), 'mask')} of '{where}' of another size than the picture "
            f"({some(sizes)}): fetch both again",
            sizes,
        )
    blank = [
        mask
        for mask, result in good.items()
        if set(result["labels"]) <= _nothing(reduce_zero_label) and mask not in colour
    ]
    if blank:
        report.warning(
            "blank-mask",
            f"{plural(len(blank), 'mask')} of '{where}' label no pixel ({some(blank)}): such "
            "pictures teach nothing; see whether they are right",
            blank,
        )
    return {value for mask, result in good.items() if mask not in colour for value in result["labels"]}


def _check_coverage(report: Report, labels: set[int], classes: int, reduce_zero_label: bool, deep: bool) -> None:
    """See whether the labels look like those of a set with that many classes."""
    wanted = set(range(int(reduce_zero_label), classes + int(reduce_zero_label)))
    absent = sorted(wanted - labels)
    if not labels or not absent:
        return
    top = max((label for label in labels if label != IGNORED), default=0)
    if top < max(wanted) and (deep or top <= classes / 2):
        looked = "every mask" if deep else "the masks looked at"
        report.warning(
            "unused-labels",
            f"no label above {top} is in {looked}, while {classes} classes are expected: the "
            "class list may be another data set's; see --classes and --class-file",
        )
    elif deep:
        report.warning(
            "unused-labels",
            f"{plural(len(absent), 'class')} in no mask (values "
            f"{some([str(value) for value in absent])}): they cannot be learned",
        )


def _nothing(reduce_zero_label: bool) -> set[int]:
    return {0, IGNORED} if reduce_zero_label else {IGNORED}
