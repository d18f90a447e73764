"""Other people's test sets of ImageNet's classes, and pictures of no known class, where they are on disk.

Published layouts: ImageNet-A, -O (arXiv:1907.07174), -R (arXiv:2006.16241), -Sketch (arXiv:1905.13549): a folder per
class by WordNet id; ImageNet-V2 (arXiv:1902.10811): folders 0 to 999; ObjectNet (NeurIPS 2019): folders by names,
beside ``mappings``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from mixpro_bench.datasets.archive import Archive
from mixpro_bench.errors import UserError
from mixpro_bench.robustness.part import Finding, Part, Steps
from mixpro_bench.robustness.pictures import Listed, open_folder, told_of
from mixpro_bench.robustness.subject import Advance, Subject
from mixpro_bench.robustness.unknown import SCORES, detection, sureness

# Class folder -> labels of the model that are right for it; a folder without one is left out.
Targets = Mapping[str, Sequence[int]]
OBJECTNET_BORDER = 2  # pixels to cut off for the red frame that ObjectNet's pictures come with


def synsets() -> tuple[str, ...]:
    """Return the WordNet ids of ImageNet-1k's classes in the usual order, as timm has them."""
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo("imagenet-1k").label_names())


def by_synset(folders: Sequence[str], classes: Sequence[str]) -> Targets:
    """Map folders that bear the names of the model's classes, such as WordNet ids."""
    number = {name: label for label, name in enumerate(classes)}
    return {folder: [number[folder]] for folder in folders if folder in number}


def by_number(folders: Sequence[str], classes: Sequence[str]) -> Targets:
    """Map ImageNet-V2's folders: numbers of ImageNet-1k's classes in the usual order."""
    known, number = synsets(), {name: label for label, name in enumerate(classes)}
    named = {f: known[int(f)] for f in folders if f.isascii() and f.isdigit() and int(f) < len(known)}
    return {folder: [number[name]] for folder, name in named.items() if name in number}


def by_objectnet(mappings: Path, folders: Sequence[str], classes: Sequence[str]) -> Targets:
    """Map ObjectNet's folders by the files in its ``mappings``; one of its classes may be several of ImageNet's.

    Raises:
        UserError: If a file is missing or is not what it should be.
    """
    try:
        titles = json.loads((mappings / "folder_to_objectnet_label.json").read_text(encoding="utf-8"))
        described = json.loads((mappings / "objectnet_to_imagenet_1k.json").read_text(encoding="utf-8"))
        numbers = json.loads((mappings / "pytorch_to_imagenet_2012_id.json").read_text(encoding="utf-8"))
        lines = (mappings / "imagenet_to_label_2012_v2").read_text(encoding="utf-8").splitlines()
        known, label = synsets(), {name: place for place, name in enumerate(classes)}
        synset = {lines[int(line)].strip(): known[int(usual)] for usual, line in numbers.items()}
        found = {}
        for folder in folders:
            names = str(described.get(titles.get(folder), "")).split("; ")
            right = [label[synset[name]] for name in names if synset.get(name) in label]
            if right:
                found[folder] = right
        return found
    except (OSError, ValueError, LookupError, AttributeError) as error:
        raise UserError(
            f"ObjectNet's classes are told by the four files of its mappings, which cannot be read from {mappings} "
            f"({error}): give external.objectnet the folder that holds images and mappings, as it is published"
        ) from None


def without_frame(picture: Image.Image) -> Image.Image:
    """Cut the frame off a picture of ObjectNet, which marks it as one not to train on."""
    w, h = picture.size
    return picture.crop((OBJECTNET_BORDER, OBJECTNET_BORDER, w - OBJECTNET_BORDER, h - OBJECTNET_BORDER))


def right_among(logits: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
    """Tell which predictions are right where only the classes that occur may be chosen, (N,).

    Args:
        logits: Shape (N, K).
        targets: Right labels of each picture.
    """
    allowed = torch.tensor(sorted({label for labels in targets for label in labels}))
    chosen = allowed[logits[:, allowed].argmax(dim=1)].tolist()
    return torch.tensor([one in labels for one, labels in zip(chosen, targets, strict=True)])


class External(Part):
    """Accuracy on other test sets over the classes that they share with the model, and telling unknown pictures.

    Each option is a folder, or the zip or tar of one. Predictions are taken among the classes that occur in the set.

    Args:
        imagenet_a: ImageNet-A.
        imagenet_r: ImageNet-R.
        imagenet_v2: ImageNet-V2, one of its three variants.
        imagenet_sketch: ImageNet-Sketch.
        objectnet: ObjectNet, with its ``images`` and ``mappings``.
        imagenet_o: ImageNet-O, whose pictures are of no class of ImageNet-1k.
        ood: Any folder of pictures of no class that the model knows.
    """

    name: ClassVar[str] = "external"

    def __init__(
        self,
        imagenet_a: str | None = None,
        imagenet_r: str | None = None,
        imagenet_v2: str | None = None,
        imagenet_sketch: str | None = None,
        objectnet: str | None = None,
        imagenet_o: str | None = None,
        ood: str | None = None,
    ) -> None:
        self.imagenet_a, self.imagenet_r, self.imagenet_v2 = imagenet_a, imagenet_r, imagenet_v2
        self.imagenet_sketch, self.objectnet = imagenet_sketch, objectnet
        self.imagenet_o, self.ood = imagenet_o, ood

    def options(self) -> dict[str, Any]:
        """Return the folders by their own names and those of their pictures: where they lie makes no difference."""
        return {name: None if path is None else told_of(path) for name, path in super().options().items()}

    def check(self, subject: Subject) -> None:
        """Refuse folders that are not there, and sets of which no class is the model's."""
        super().check(subject)
        for name in self._named():
            self._pictures(name, subject)
        for name in self._unknown():
            self._all_of(name, subject)

    def run(self, subject: Subject, advance: Advance) -> Finding:
        """Measure; see `Part.run`."""
        steps = Steps(advance, len(self._named()) + 2 * len(self._unknown()))
        metrics: dict[str, float] = {}
        notes: list[str] = []
        for name in self._named():
            pictures, targets, left = self._pictures(name, subject)
            logits = subject.on(pictures).scores(advance=steps)
            metrics[f"external/{name}/top1"] = 100 * float(right_among(logits, targets).double().mean())
            classes = len({label for labels in targets for label in labels})
            notes.append(f"{name}: {len(pictures)} pictures, predictions among {classes} classes")
            if left:
                more = ", ..." if len(left) > 5 else ""
                notes.append(f"{name}: {len(left)} folders are no class of the model: {', '.join(left[:5])}{more}")
        for name in self._unknown():
            known = subject.scores(advance=steps).double().numpy()
            unknown = subject.on(self._all_of(name, subject)).scores(advance=steps).double().numpy()
            for score in SCORES:
                found = detection(sureness(known, score), sureness(unknown, score))
                metrics.update({f"external/{name}/{score}/{key}": value for key, value in found.items()})
            notes.append(f"{name}: {len(unknown)} unknown pictures against the {len(known)} validation pictures")
        if not metrics:
            notes.append("nothing measured: name folders, such as external.imagenet_a=PATH or external.ood=PATH")
        return Finding(metrics, {}, tuple(notes))

    def _named(self) -> list[str]:
        sets = ("imagenet_a", "imagenet_r", "imagenet_v2", "imagenet_sketch", "objectnet")
        return [name for name in sets if getattr(self, name) is not None]

    def _unknown(self) -> list[str]:
        return [name for name in ("imagenet_o", "ood") if getattr(self, name) is not None]

    def _all_of(self, name: str, subject: Subject) -> Listed:
        archive = open_folder(getattr(self, name))
        return Listed(archive, archive.names, [-1] * len(archive.names), subject.classes, subject.dataset.transform)

    def _pictures(self, name: str, subject: Subject) -> tuple[Listed, list[Sequence[int]], list[str]]:
        """Return the pictures of a set that have a class, the labels right for each, and the folders left out."""
        root = Path(getattr(self, name))
        change: Callable[[Image.Image], Image.Image] | None = None
        if name == "objectnet":
            archive = open_folder(root / "images" if (root / "images").is_dir() else root)
            change = without_frame
        else:
            archive = open_folder(root)
        inside = _class_folder(archive)
        folders = sorted(set(inside.values()))
        if name == "objectnet":
            mappings = next((p for p in (root / "mappings", root.parent / "mappings") if p.is_dir()), root / "mappings")
            targets = by_objectnet(mappings, folders, subject.classes)
        else:
            targets = (by_number if name == "imagenet_v2" else by_synset)(folders, subject.classes)
        if not targets:
            more = ", ..." if len(folders) > 5 else ""
            raise UserError(
                f"part external: none of the class folders of {root} ({', '.join(folders[:5])}{more}) is a class of "
                f"the model, whose classes are called {', '.join(subject.classes[:3])}, ...: it is no {name} for it"
            )
        names = [picture for picture in archive.names if inside[picture] in targets]
        right = [targets[inside[picture]] for picture in names]
        pictures = Listed(
            archive, names, [labels[0] for labels in right], subject.classes, subject.dataset.transform, change
        )
        return pictures, right, [folder for folder in folders if folder not in targets]


def _class_folder(archive: Archive) -> dict[str, str]:
    """Return the class folder of each picture, which is the one it lies in: some archives have a folder around all."""
    return {name: Path(name).parent.name for name in archive.names}
