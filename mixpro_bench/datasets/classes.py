"""Whether a model has a class for every class of the data, and the data of every split the same ones.

A classifier with a thousand outputs trains on 999 folders without complaint, with labels that are shifted from the
missing folder on; so does a detector whose class list names categories that the annotation file does not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mixpro_bench.errors import UserError

# Where models of mmdet, mmseg and this package keep the number of their classes.
_PLACES = (
    "num_classes",
    "bbox_head.num_classes",
    "roi_head.bbox_head.num_classes",
    "roi_head.mask_head.num_classes",
    "decode_head.num_classes",
    "auxiliary_head.num_classes",
)


def check_classes(dataset: Any, model: Any, loader: str, train: Any = None) -> None:
    """Refuse data whose classes do not fit the model, before the first step.

    Args:
        dataset: A data set with ``metainfo``; one that names no classes is let pass.
        model: The model, wrapped or not.
        loader: Key of its loader in the config, for the error.
        train: The training data, whose classes those of another split must be.

    Raises:
        UserError: The model has another number of classes; the annotation file lacks some of them; the training data
            have others.
    """
    classes = _classes(dataset)
    if not classes:
        return
    for place, number in _numbers(getattr(model, "module", model)):
        if number != len(classes):
            raise UserError(
                f"{loader}.dataset has {len(classes)} classes and model.{place} is {number}: correct the config or "
                "the data ('mixpro-bench check-data' says what is missing from them)"
            )
    found = getattr(dataset, "cat_ids", None)  # of mmdet's CocoDataset: the ids of the classes in the annotation file
    if found is not None and len(found) < len(classes):
        raise UserError(
            f"{loader}.dataset.metainfo names {len(classes)} classes, of which the annotation file "
            f"'{getattr(dataset, 'ann_file', '')}' has {len(found)}: it is the file or the class list of another data "
            "set"
        )
    others = _classes(train)
    if others and tuple(others) != tuple(classes):
        odd = [one for one in dict.fromkeys((*others, *classes)) if (one in others) != (one in classes)]
        what = f"differ in {odd[:5]}" if odd else "have another order"
        raise UserError(f"the classes of {loader}.dataset and of train_dataloader.dataset {what}: correct one of them")


def _classes(dataset: Any) -> Any:
    return (getattr(dataset, "metainfo", None) or {}).get("classes")


def _numbers(model: Any) -> Iterator[tuple[str, int]]:
    for place in _PLACES:
        part = model
        for name in place.split("."):
            part = getattr(part, name, None)
        if isinstance(part, int) and part > 0:
            yield place, part
