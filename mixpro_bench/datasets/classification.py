"""Image classification in ImageNet's layout: one folder per class, or one zip or tar per split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from mixpro_bench.datasets.archive import Archive
from mixpro_bench.datasets.geometry import LocatedTransform
from mixpro_bench.datasets.teacher_maps import TeacherMaps
from mixpro_bench.errors import UserError
from mixpro_bench.registry import DATASETS


@DATASETS.register_module()
class ImageFolder(Dataset):
    """``root/split/<class>/**.jpg``, or that packed as ``split.zip`` or ``split.tar``; classes are the sorted folders.

    A sample is ``dict(inputs=float32 (3, H, W) normalised, label=int, index=int)``. With ``teacher_maps`` it also has
    ``teacher_map``, float32 (h, w), the map of the sample's own class in the picture, mirrored as the image is;
    ``teacher_crop``, float32 (4,), the top, left, height and width of the image in it; and ``teacher_warp``, float32
    (2, 3), if the transform warps images; see `mixpro_bench.datasets.geometry.Geometry`.

    Args:
        root: Folder that holds the splits.
        split: Name of the split, such as ``"train"`` or ``"val"``.
        transform: Arguments of `timm.data.create_transform`, such as ``input_size``, ``is_training``,
            ``auto_augment="rand-m9-mstd0.5-inc1"``, ``re_prob``, ``hflip``, ``scale``; mean and deviation are
            ImageNet's unless given. ``type="light"`` instead gives small pictures a gentle training transform, see
            `light_transform`.
        classes: Class folders in the order of their labels; None takes all that are there. A split that lacks one of
            them, or has others, is refused.
        cache: ``"decoded"`` reads and decodes every picture (uint8) at the start, once for all workers that are forked
            later; for small sets.
        teacher_maps: File made by ``mixpro-bench teacher-maps`` of this split, for TokenMix.

    Attributes:
        aux: What samples bring along for labelers, such as ``("teacher",)``.

    Raises:
        UserError: No data, pictures outside class folders, classes other than told, an unknown transform argument.
    """

    def __init__(
        self,
        root: str,
        split: str,
        transform: dict[str, Any],
        classes: list[str] | tuple[str, ...] | None = None,
        cache: str | None = None,
        teacher_maps: str | None = None,
    ) -> None:
        if cache not in (None, "decoded"):
            raise UserError(f"dataset.cache is {cache!r}, but only None and 'decoded' exist")
        self.root, self.split = str(root), split
        self.archive = Archive(root, split)
        folders = [name.split("/", 1)[0] if "/" in name else "" for name in self.archive.names]
        found = sorted(set(folders))
        if "" in found:
            loose = self.archive.names[folders.index("")]
            raise UserError(
                f"'{loose}' in '{self.archive.path}' lies in no class folder: one folder per class is expected there"
            )
        wanted = list(classes) if classes is not None else found
        if set(wanted) != set(found):
            odd = sorted(set(wanted) ^ set(found))
            raise UserError(f"'{self.archive.path}' and the config's classes differ in {odd[:5]}: correct one of them")
        label = {name: number for number, name in enumerate(wanted)}
        self.labels = np.asarray([label[folder] for folder in folders], dtype=np.int64)
        self.metainfo = {"classes": tuple(wanted)}
        self.transform = build_transform(transform)
        self.teacher = None if teacher_maps is None else TeacherMaps(teacher_maps, self.archive, wanted)
        self.located = None if self.teacher is None else LocatedTransform(self.transform)
        self.aux = () if self.teacher is None else ("teacher",)
        self._decoded = [self._read(index) for index in range(len(self))] if cache else None

    def image(self, index: int) -> Image.Image:
        """Return one picture, RGB, as it is stored."""
        return self._decoded[index] if self._decoded is not None else self._read(index)

    def _read(self, index: int) -> Image.Image:
        name = self.archive.names[index]
        try:
            with self.archive.open(name) as stream:
                return Image.open(stream).convert("RGB")
        except Exception as error:
            raise UserError(
                f"cannot read the picture '{name}' in '{self.archive.path}' ({error}): remove or replace it"
            ) from error

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a transformed sample."""
        index = int(index)
        label = int(self.labels[index])
        if self.teacher is None or self.located is None:
            return {"inputs": self.transform(self.image(index)), "label": label, "index": index}
        image, place = self.located(self.image(index))
        axes = [axis for axis, mirrored in enumerate((place.vflip, place.hflip)) if mirrored]
        sample = {
            "inputs": image,
            "label": label,
            "index": index,
            "teacher_map": torch.from_numpy(self.teacher.own(index, label)).flip(axes),
            "teacher_crop": torch.tensor(place.crop, dtype=torch.float32),
        }
        if place.warp is not None:
            sample["teacher_warp"] = torch.from_numpy(place.warp)
        return sample

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)

    def __repr__(self) -> str:
        """Name the source."""
        return f"ImageFolder({Path(self.archive.path)}, {len(self)} pictures, {len(self.metainfo['classes'])} classes)"


def build_transform(settings: dict[str, Any]) -> Any:
    """Build the picture-to-tensor function that ``settings`` describe, see `ImageFolder`."""
    from timm.data import create_transform

    settings = dict(settings)
    kind = settings.pop("type", "timm")
    makers = {"timm": create_transform, "light": light_transform}
    if kind not in makers:
        raise UserError(f"dataset.transform.type is {kind!r}, but only {sorted(makers)} exist")
    if isinstance(settings.get("input_size"), list):
        settings["input_size"] = tuple(settings["input_size"])
    try:
        return makers[kind](**settings)
    except TypeError as error:
        raise UserError(f"dataset.transform does not fit the {kind} transform: {error}") from error


def light_transform(
    input_size: int,
    is_training: bool = False,
    pad: int = 4,
    hflip: float = 0.0,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Any:
    """Pad by reflection and crop at random, as is usual at 32 pixels; no colours are changed, nothing is turned.

    Args:
        input_size: Side of the output in pixels; pictures of another size are resized first.
        is_training: Without it, resize only.
        pad: Pixels added on each side before the crop.
        hflip: Probability of a horizontal flip; 0 because a mirrored digit is no digit.
        mean: Per channel in 0..1; ImageNet's by default.
        std: Per channel in 0..1; ImageNet's by default.
    """
    from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    from torchvision import transforms

    steps = [transforms.Resize((input_size, input_size), antialias=True)]
    if is_training:
        steps.append(transforms.RandomCrop(input_size, padding=pad, padding_mode="reflect"))
        if hflip:
            steps.append(transforms.RandomHorizontalFlip(hflip))
    scale = torch.tensor(mean or IMAGENET_DEFAULT_MEAN), torch.tensor(std or IMAGENET_DEFAULT_STD)
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(*scale)])
