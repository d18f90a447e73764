"""Semantic segmentation in ADE20K's layout: a folder of pictures, a folder of index masks, a file of class names."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mixpro_bench.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
MASK_SUFFIX = ".png"
IGNORED = 255


class ClassFile(NamedTuple):
    """Class names in the order of their mask values; ``values`` is None where the file gives none."""

    names: tuple[str, ...]
    values: tuple[int, ...] | None


def read_class_file(path: str | Path) -> ClassFile:
    """Read a class file: one class a line, ``value name`` or ``name``; blank lines and ``#`` lines do not count.

    Raises:
        UserError: The file is missing or empty, or mixes lines with and without values, or repeats a value or name.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the class file '{path}' ({error}): correct its path") from error
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    parts = [line.split(maxsplit=1) for line in lines]
    numbered = [len(part) == 2 and part[0].isdigit() for part in parts]
    if not lines:
        raise UserError(f"the class file '{path}' names no classes: give one a line")
    if any(numbered) and not all(numbered):
        odd = lines[numbered.index(False)]
        raise UserError(f"line '{odd}' of the class file '{path}' has no value while others have: give all or none")
    if not all(numbered):
        names, values = tuple(lines), None
    else:
        order = sorted((int(value), name) for value, name in parts)
        values, names = tuple(value for value, _ in order), tuple(name for _, name in order)
    if len(set(names)) < len(names) or (values and len(set(values)) < len(values)):
        raise UserError(f"the class file '{path}' repeats a name or a value: each may occur once")
    return ClassFile(names, values)


def check_values(classes: ClassFile, reduce_zero_label: bool, path: str | Path) -> None:
    """Refuse a class file whose values are not those that mmseg will read.

    With ``reduce_zero_label`` value 0 is unlabelled and classes begin at 1, else they begin at 0.
    """
    first = int(reduce_zero_label)
    wanted = tuple(range(first, first + len(classes.names)))
    if classes.values is not None and classes.values != wanted:
        raise UserError(
            f"the class file '{path}' gives the values {classes.values[0]}..{classes.values[-1]}, but with "
            f"reduce_zero_label={reduce_zero_label} they must be {wanted[0]}..{wanted[-1]} without gaps: "
            "correct one of the two"
        )


def image_suffix(images: str | Path, masks: str | Path) -> str:
    """Return the suffix of the pictures in ``images`` after checking that each has its mask.

    Raises:
        UserError: A folder is missing or empty, suffixes are mixed, or a picture has no mask.
    """
    images, masks = Path(images), Path(masks)
    for folder in (images, masks):
        if not folder.is_dir():
            raise UserError(f"no segmentation data: the folder '{folder}' does not exist; correct the data root")
    found = [path.relative_to(images) for path in sorted(images.rglob("*")) if path.suffix in IMAGE_SUFFIXES]
    suffixes = sorted({path.suffix for path in found})
    if len(suffixes) != 1:
        what = f"pictures of several suffixes ({', '.join(suffixes)})" if suffixes else "no pictures"
        raise UserError(f"'{images}' holds {what}: one of {', '.join(IMAGE_SUFFIXES)} is expected")
    alone = next((path for path in found if not (masks / path.with_suffix(MASK_SUFFIX)).is_file()), None)
    if alone is not None:
        raise UserError(f"the picture '{images / alone}' has no mask '{masks / alone.with_suffix(MASK_SUFFIX)}'")
    return suffixes[0]


def check_masks(masks: str | Path, classes: int, reduce_zero_label: bool, samples: int = 8) -> None:
    """Look into a few masks for values that no class has: a loss meets those as an index out of range."""
    paths = sorted(Path(masks).rglob(f"*{MASK_SUFFIX}"))
    for path in paths[:: max(1, len(paths) // samples)]:
        values = np.unique(np.asarray(Image.open(path)))
        largest = max((int(value) for value in values if value != IGNORED), default=0)
        if largest - int(reduce_zero_label) >= classes:
            raise UserError(
                f"the mask '{path}' holds the value {largest}, but with {classes} classes and "
                f"reduce_zero_label={reduce_zero_label} the largest is {classes - 1 + int(reduce_zero_label)}: "
                "correct the class file or reduce_zero_label"
            )
