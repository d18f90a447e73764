"""Where corrupted pictures come from: made by several processes and kept in the cache, or read from a folder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import uuid
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mixpro_bench.errors import UserError
from mixpro_bench.files import cache_dir
from mixpro_bench.rng import seed32
from mixpro_bench.robustness.corrupt import GROUPS, corrupt, library
from mixpro_bench.robustness.pictures import Kept, Listed, evenly, open_folder, split_transform
from mixpro_bench.robustness.subject import Advance, Subject

# Below so many pictures starting processes takes longer than they save.
FEW = 32


class Store:
    """Corrupted pictures of a subject; a context, at whose end what may not stay is deleted.

    Each corruption and severity is one array in a file, written under another name first: two processes that make the
    same one both succeed, and one that was killed leaves nothing that looks finished.

    Args:
        subject: Whose pictures.
        indices: Which of them, (N,).
        least: See `mixpro_bench.robustness.corrupt.corrupt`.
        passes: How many arrays there will be.
        most: Gigabytes that all of them may take in the cache; more are made for this run only.

    Attributes:
        note: Why nothing is kept, if so.
    """

    def __init__(self, subject: Subject, indices: Tensor, least: int, passes: int, most: float) -> None:
        from mmengine.dist import get_rank, get_world_size

        self.subject, self.indices, self.least = subject, indices, least
        self.rank, self.world = get_rank(), get_world_size()
        self.geometry, self.rest = split_transform(subject.dataset.transform)
        self.size = subject.image_size()
        self.note: str | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        gigabytes = passes * len(indices) * self.size[0] * self.size[1] * 3 / 2**30
        if not subject.fingerprint:
            self.note = "corrupted pictures are not kept, as their source has no fingerprint"
        elif gigabytes > most:
            self.note = (
                f"corrupted pictures are not kept: {gigabytes:.1f} GiB; allow them by corruptions.cache=GIGABYTES"
            )

    def __enter__(self) -> Store:
        self.folder = cache_dir() / "corruptions"
        if self.note is None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                self.note = f"corrupted pictures are not kept: {self.folder}: {error.strerror}"
            else:
                if not os.access(self.folder, os.W_OK):
                    self.note = f"corrupted pictures are not kept: {self.folder} is not writable"
        if self.note is not None:
            self._temporary = tempfile.TemporaryDirectory(prefix="mixpro-bench-corruptions-")
            self.folder = Path(self._temporary.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()

    def get(self, name: str, severity: int, advance: Advance) -> Subject:
        """Return the classifier on the pictures under a corruption; severity 0 leaves them as they are."""
        path = self.folder / f"{self._key(name, severity)}.npy"
        pictures = self._read(path)
        if pictures is None:
            self._make(path, name, severity, advance)
            pictures = np.load(path, mmap_mode="r")
        advance(len(self.indices), len(self.indices))
        if self._temporary is not None:
            path.unlink()  # the open array keeps it for as long as it is used
        labels = np.asarray(self.subject.dataset.labels)[self.indices.numpy()]
        return self.subject.on(Kept(pictures, labels, self.subject.classes, self.rest, self.rank, self.world))

    def _read(self, path: Path) -> np.ndarray | None:
        """Return the pictures of a file; None if there is none, or it is not whole."""
        try:
            pictures = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return None
        mine = len(self.indices[self.rank :: self.world])
        return pictures if pictures.shape == (mine, *self.size, 3) and pictures.dtype == np.uint8 else None

    def _key(self, name: str, severity: int) -> str:
        about: dict[str, Any] = {
            "data": self.subject.fingerprint,
            "indices": hashlib.sha256(self.indices.numpy().tobytes()).hexdigest(),
            "geometry": [repr(step) for step in self.geometry],
            "size": self.size,
            "least": self.least,
            "share": [self.rank, self.world],
        }
        if severity:
            about |= {"corruption": name, "severity": severity, "seed": self.subject.seed}
            about["library"] = version("imagecorruptions-imaug")
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]

    def _make(self, path: Path, name: str, severity: int, advance: Advance) -> None:
        mine = self.indices[self.rank :: self.world]
        if severity:
            library()  # compiled once, before there are several processes
        unfinished = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.tmp")
        try:
            _reserve(unfinished, (len(mine), *self.size, 3))
            maker = _Maker(self, unfinished, mine, name, severity)
            workers = 0
            if len(mine) >= FEW and severity:
                workers = self.subject.workers or max(1, len(os.sched_getaffinity(0)) // self.world)
            done = 0
            for rows in DataLoader(maker, batch_size=8, num_workers=workers):
                done += len(rows)
                advance(min(done * self.world, len(self.indices) - 1), len(self.indices))
            maker.close()
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


class _Maker(Dataset):
    """Writes a corrupted picture into its row of a file, whichever process does it."""

    def __init__(self, store: Store, path: Path, indices: Tensor, name: str, severity: int) -> None:
        self.dataset, self.geometry, self.size = store.subject.dataset, store.geometry, store.size
        self.seed, self.least = store.subject.seed, store.least
        self.path, self.indices, self.name, self.severity = path, indices, name, severity
        self._rows: np.memmap | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, row: int) -> int:
        index = int(self.indices[row])
        picture = self.dataset.image(index)
        for step in self.geometry:
            picture = step(picture)
        pixels = np.asarray(picture)
        if pixels.shape != (*self.size, 3):
            raise UserError(
                f"pictures of {pixels.shape[1]} x {pixels.shape[0]} and of {self.size[1]} x {self.size[0]} pixels: "
                "val_dataloader.dataset.transform has to bring all to one size"
            )
        if self.severity:
            seed = seed32(self.seed, f"corruption {self.name}", self.severity, index)
            pixels = corrupt(pixels, self.name, self.severity, seed, self.least)
        if self._rows is None:
            self._rows = np.load(self.path, mmap_mode="r+")
        self._rows[row] = pixels
        return row

    def close(self) -> None:
        """Have everything in the file."""
        rows = self._rows if self._rows is not None else np.load(self.path, mmap_mode="r+")
        rows.flush()


def _reserve(path: Path, shape: tuple[int, ...]) -> None:
    """Make the file of an array; the room is taken at once, as a full disk would kill whoever writes into the map.

    Raises:
        UserError: If there is no room.
    """
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()
    try:
        with open(path, "r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
    except OSError as error:
        size = np.prod(shape) / 2**30
        raise UserError(f"{path.parent} has no room for {size:.2f} GiB ({error.strerror}): free some") from None


def prepared_place(folder: str | Path, name: str, severity: int) -> Path:
    """Return where the pictures of a corruption and severity lie in a prepared ImageNet-C.

    Raises:
        UserError: If they do not.
    """
    group = next(group for group, names in GROUPS.items() if name in names)
    places = [Path(folder) / name / str(severity), Path(folder) / group / name / str(severity)]
    place = next((one for one in places if one.is_dir()), None)
    if place is None:
        raise UserError(f"{places[0]} does not exist: <corruption>/<severity>/<class> folders are expected in {folder}")
    return place


def prepared(folder: str | Path, name: str, severity: int, subject: Subject, most: int | None = None) -> Subject:
    """Return the classifier on the pictures of a prepared ImageNet-C.

    They are cropped already; other sizes than the model's are resized to it.

    Args:
        folder: Holds ``<corruption>/<severity>/<class>/*``, the corruptions perhaps in folders of their groups.
        name: Of the corruption.
        severity: 1 to 5.
        subject: The classifier.
        most: So many pictures, evenly spread.

    Raises:
        UserError: If that is missing, or no class of it is the model's.
    """
    place = prepared_place(folder, name, severity)
    archive = open_folder(place)
    number = {one: label for label, one in enumerate(subject.classes)}
    known = [one for one in archive.names if one.split("/", 1)[0] in number]
    if not known:
        odd = sorted({one.split("/", 1)[0] for one in archive.names})
        raise UserError(f"none of the class folders of {place} ({', '.join(odd[:5])}, ...) is a class of the model")
    known = [known[index] for index in evenly(len(known), most).tolist()]
    size = subject.image_size()
    _, rest = split_transform(subject.dataset.transform)

    def fit(picture: Image.Image) -> Image.Image:
        return picture if picture.size == size[::-1] else picture.resize(size[::-1], Image.Resampling.BICUBIC)

    labels = [number[one.split("/", 1)[0]] for one in known]
    return subject.on(Listed(archive, known, labels, subject.classes, rest, fit))
