"""What is measured: a pretrained classifier, the pictures it is measured on, and where both come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mixpro_bench.backbones.contract import Backbone
from mixpro_bench.datasets.classification import ImageFolder
from mixpro_bench.errors import UserError
from mixpro_bench.robustness.processes import gather

# Called with (images done, images in all).
Advance = Callable[[int, int], None]
# Changes a picture before it is resized and normalised; the number is its index in the data set.
Change = Callable[[Image.Image, int], Image.Image]
# Changes normalised images (B, 3, H, W); the indices say which they are, (B,).
Perturb = Callable[[Tensor, Tensor, Tensor], Tensor]


def _nothing(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Upstream:
    """Where a checkpoint comes from.

    Attributes:
        path: The file.
        sha256: Of the file.
        told: What the checkpoint says of its run: ``method``, ``preset``, ``backbone``, ``seed``, ``protocol``, ...
        weights: Which weights were taken, ``"raw"`` or ``"ema"``.
    """

    path: Path
    sha256: str
    told: dict[str, Any]
    weights: str


class Pictures(Dataset):
    """The pictures of a data set, changed, as (image, label, index).

    Args:
        dataset: Where they come from, with its transform.
        change: Changes each picture before the transform.
    """

    def __init__(self, dataset: ImageFolder, change: Change | None = None) -> None:
        self.dataset, self.change = dataset, change

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        picture = self.dataset.image(index)
        if self.change is not None:
            picture = self.change(picture, index)
        return self.dataset.transform(picture), int(self.dataset.labels[index]), index


class Subject:
    """A classifier in evaluation mode and the pictures it is measured on.

    With several processes each takes its share of every batch of work, and all get all results.

    Args:
        backbone: The classifier.
        dataset: Pictures and labels.
        device: Where the classifier runs.
        upstream: Where its weights come from.
        batch_size: Images per pass.
        workers: Processes that read pictures.
        limit: Measure on this many pictures only, evenly spread over the data set; None for all.
        seed: Of everything that is drawn.
        fingerprint: Of the data.
        train: Settings of the training pictures, for parts that learn from them.
        work_dir: Where parts may keep what they can use again.
    """

    def __init__(
        self,
        backbone: Backbone,
        dataset: ImageFolder,
        device: torch.device,
        upstream: Upstream,
        *,
        batch_size: int = 64,
        workers: int = 0,
        limit: int | None = None,
        seed: int = 0,
        fingerprint: str = "",
        train: dict[str, Any] | None = None,
        work_dir: Path | None = None,
    ) -> None:
        self.backbone = backbone.to(device).eval().requires_grad_(False)
        self.dataset = dataset
        self.device = device
        self.upstream = upstream
        self.batch_size = batch_size
        self.workers = workers
        self.seed = seed
        self.fingerprint = fingerprint
        self.train = train
        self.work_dir = work_dir
        self._training: ImageFolder | None = None
        size = len(dataset)
        count = size if limit is None else min(limit, size)
        if count < 1:
            raise UserError(f"--limit {limit}: at least one picture has to be measured")
        self.indices = torch.arange(count) * size // count
        self.labels = torch.as_tensor(dataset.labels)[self.indices]
        self._clean: Tensor | None = None
        self._one: Tensor | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their labels."""
        return tuple(self.dataset.metainfo["classes"])

    @property
    def has_head(self) -> bool:
        """Whether the checkpoint brought a classifier along."""
        return self.backbone.num_classes > 0

    def normalisation(self) -> tuple[Tensor, Tensor]:
        """Return mean and deviation that the transform uses, each (3, 1, 1), on the device.

        Raises:
            UserError: If the transform does not normalise.
        """
        for step in reversed(getattr(self.dataset.transform, "transforms", ())):
            if hasattr(step, "mean") and hasattr(step, "std"):
                mean, std = (torch.as_tensor(value, dtype=torch.float32).flatten() for value in (step.mean, step.std))
                return mean.view(-1, 1, 1).to(self.device), std.view(-1, 1, 1).to(self.device)
        raise UserError("val_dataloader.dataset.transform does not normalise: pixel values cannot be told")

    def batches(
        self, change: Change | None = None, indices: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield images (B, 3, H, W) on the device, labels (B,) and indices (B,) of this process' share.

        Args:
            change: Changes each picture.
            indices: Which pictures, of the data set; those of the subject by default.
        """
        mine = (self.indices if indices is None else indices)[get_rank() :: get_world_size()]
        loader = DataLoader(
            _Chosen(Pictures(self.dataset, change), mine), batch_size=self.batch_size, num_workers=self.workers
        )
        for images, labels, numbers in loader:
            yield images.to(self.device, non_blocking=True), labels.to(self.device), numbers

    def images(self) -> Tensor:
        """Return all images of this process' share, normalised, (n, 3, H, W), read once and kept on the CPU."""
        if self._clean is None:
            self._clean = torch.cat([images.cpu() for images, _, _ in self.batches()])
        return self._clean

    def scores(
        self, perturb: Perturb | None = None, *, change: Change | None = None, advance: Advance = _nothing
    ) -> Tensor:
        """Return the logits of every picture, (N, K), float32 on the CPU, in the order of `indices`.

        Args:
            perturb: Changes images on the device, given images, labels and indices.
            change: Changes pictures before the transform.
            advance: Told about progress.

        Raises:
            UserError: If the checkpoint has no classifier.
        """
        self.require_head("scores")
        return self.collect(lambda images: self.backbone(images).logits, perturb, change=change, advance=advance)

    @torch.no_grad()
    def collect(
        self,
        read: Callable[[Tensor], Tensor],
        perturb: Perturb | None = None,
        *,
        change: Change | None = None,
        advance: Advance = _nothing,
    ) -> Tensor:
        """Return ``read(images)`` of every picture, (N, ...), float32 on the CPU; see `scores`."""
        kept: list[Tensor] = []
        for images, labels, numbers in self._source(change):
            if perturb is not None:
                with torch.enable_grad():
                    images = perturb(images, labels, numbers).detach()
            kept.append(read(images).float().cpu())
            advance(sum(map(len, kept)) * get_world_size(), len(self.indices))
        return gather(torch.cat(kept) if kept else torch.empty(0), len(self.indices))

    def _source(self, change: Change | None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        if change is not None or not self.fits_in_memory():
            yield from self.batches(change)
            return
        images, mine = self.images(), self.indices[get_rank() :: get_world_size()]
        labels = self.labels[get_rank() :: get_world_size()]
        for start in range(0, len(mine), self.batch_size):
            part = slice(start, start + self.batch_size)
            yield images[part].to(self.device), labels[part].to(self.device), mine[part]

    def fits_in_memory(self, most: int = 2**30) -> bool:
        """Tell whether all images of this process take at most ``most`` bytes."""
        return self._first().numel() * 4 * len(self.indices) // get_world_size() <= most

    def training(self) -> ImageFolder:
        """Return the training pictures under the validation transform, opened once.

        Raises:
            UserError: If the config names none, or they have other classes.
        """
        from mixpro_bench.robustness.features import training_pictures

        if self._training is None:
            if self.train is None:
                raise UserError("the config names no training pictures of mixpro_bench.ImageFolder to learn from")
            self._training = training_pictures(self.train, self.dataset)
        return self._training

    def training_fingerprint(self) -> str:
        """Return the fingerprint of the training pictures."""
        from mixpro_bench.datasets.fingerprint import fingerprint_config

        return fingerprint_config({"train_dataloader": {"dataset": self.train}})

    def on(self, dataset: ImageFolder) -> Subject:
        """Return the same classifier on all pictures of another data set."""
        return Subject(
            self.backbone,
            dataset,
            self.device,
            self.upstream,
            batch_size=self.batch_size,
            workers=self.workers,
            seed=self.seed,
            fingerprint=self.fingerprint,
            work_dir=self.work_dir,
        )

    def require_head(self, what: str) -> None:
        """Refuse what needs a classifier where there is none.

        Raises:
            UserError: Naming the checkpoint.
        """
        if not self.has_head:
            raise UserError(f"{self.upstream.path} holds no classifier, which {what} needs: choose other parts")

    def image_size(self) -> tuple[int, int]:
        """Return height and width of the images."""
        one = self._first()
        return one.shape[-2], one.shape[-1]

    def _first(self) -> Tensor:
        if self._one is None:
            self._one = self.dataset.transform(self.dataset.image(int(self.indices[0])))
        return self._one


class _Chosen(Dataset):
    def __init__(self, pictures: Pictures, indices: Tensor) -> None:
        self.pictures, self.indices = pictures, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> tuple[Tensor, int, int]:
        return self.pictures[int(self.indices[number])]


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the top-1 accuracy in percent, of logits (N, K) and labels (N,)."""
    return float((logits.argmax(dim=1) == labels).double().mean()) * 100


def grid_for(size: tuple[int, int], most: int = 14) -> int:
    """Return the finest grid of at most ``most`` cells a side that divides an image, whatever the model's patch.

    Examples:
        >>> grid_for((224, 224)), grid_for((32, 32)), grid_for((128, 128))
        (14, 8, 8)
    """
    fitting: Sequence[int] = [n for n in range(1, most + 1) if size[0] % n == 0 and size[1] % n == 0]
    return max(fitting)
