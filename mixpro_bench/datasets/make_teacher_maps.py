"""Making teacher maps: every picture of a split goes through a teacher once, shard by shard, and can be interrupted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mixpro_bench.datasets.classification import ImageFolder
from mixpro_bench.datasets.settings import inner_dataset
from mixpro_bench.datasets.teacher_maps import FORMAT, names_bytes, picture_crc
from mixpro_bench.errors import UserError
from mixpro_bench.files import sha256_of
from mixpro_bench.labeling.network import Teacher

KINDS = {"int64": "I64", "int32": "I32", "int16": "I16", "float16": "F16", "uint8": "U8"}
Advance = Callable[[int, int], None]


def make_teacher_maps(
    dataset: ImageFolder,
    teacher: Teacher,
    out: str | Path,
    *,
    topk: int = 5,
    batch_size: int = 32,
    shard: int = 2048,
    workers: int = 0,
    device: str | torch.device = "cpu",
    advance: Advance | None = None,
) -> Path:
    """Write the maps of a split; see `mixpro_bench.datasets.teacher_maps` for the file.

    Shards are kept in ``<out>.parts`` until all are there, so an interrupted call goes on where it stopped.

    Args:
        dataset: The pictures, each whole, resized and normalised for the teacher.
        teacher: The network.
        out: The file to write; one that exists is not overwritten.
        topk: Scores kept at each place; fewer where there are fewer classes.
        batch_size: Pictures per pass.
        shard: Pictures per shard.
        workers: Processes that read pictures.
        device: Where the teacher runs.
        advance: Called with (pictures done, pictures in all) after each batch.

    Raises:
        UserError: ``out`` exists, its parts are of another call, or the teacher's classes are not those of the data.
    """
    out = Path(out)
    classes = dataset.metainfo["classes"]
    told = len(teacher.classes or range(teacher.num_classes))
    if topk < 1 or batch_size < 1 or shard < 1:
        raise UserError(f"topk={topk}, batch_size={batch_size}, shard={shard}: each is at least 1")
    if told != len(classes):
        raise UserError(
            f"the teacher {teacher.name} tells of {told} classes, but the data have {len(classes)}: name the teacher's "
            "class index of each of them (--class-indices)"
        )
    if out.exists():
        raise UserError(f"'{out}' exists and is not overwritten: give another --out, or remove it")
    names = dataset.archive.names
    metadata = {
        "format": FORMAT,
        "names": hashlib.sha256(names_bytes(names)).hexdigest(),
        "classes": json.dumps(list(classes)),
        "teacher": teacher.name,
        "weights": sha256_of(teacher.checkpoint) if teacher.checkpoint else "timm",
        "size": json.dumps(teacher.size),
        "topk": str(min(topk, told)),
    }
    # What one shard must share with the next.
    key = hashlib.sha256(json.dumps([metadata, shard, teacher.classes], sort_keys=True).encode()).hexdigest()
    folder = out.with_name(f"{out.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(names), shard)
    parts = [folder / f"{start:09d}.safetensors" for start in starts]
    for start, part in zip(starts, parts, strict=True):
        stop = min(start + shard, len(names))
        if part.is_file():
            _check_part(part, key, folder)
            if advance is not None:
                advance(stop, len(names))
            continue
        loader = DataLoader(_Slice(dataset, start, stop), batch_size=batch_size, num_workers=workers)
        batches = []
        for images, crc in loader:
            batches.append({**top_scores(teacher.scores(images.to(device)), topk), "crc": crc.numpy()})
            if advance is not None:
                advance(start + sum(len(batch["crc"]) for batch in batches), len(names))
        _save_part(part, {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}, key)
    _join(parts, out, metadata, names)
    shutil.rmtree(folder)
    return out


def whole_pictures(cfg: Mapping[str, Any], teacher: Teacher) -> ImageFolder:
    """Return the training pictures of a pretraining config as a teacher wants them: whole, at its size.

    Args:
        cfg: A resolved config.
        teacher: Gives size, mean and deviation.

    Raises:
        UserError: The config trains on something else than an `ImageFolder` of ours.
    """
    told = inner_dataset((cfg.get("train_dataloader") or {}).get("dataset"))
    kind = str((told or {}).get("type", "")).rsplit(".", 1)[-1]
    if kind != "ImageFolder":
        raise UserError(
            f"train_dataloader.dataset is {kind or 'missing'}: teacher maps are made of mixpro_bench.ImageFolder"
        )
    height, width = teacher.size
    if height != width:
        raise UserError(f"the teacher {teacher.name} takes images of {height} x {width} pixels: give a square img_size")
    transform = dict(type="light", input_size=height, mean=tuple(teacher.mean), std=tuple(teacher.std))
    return ImageFolder(told["root"], told["split"], transform, classes=told.get("classes"))


def top_scores(scores: Tensor, topk: int) -> dict[str, np.ndarray]:
    """Return the highest scores at each place and their classes, as they are stored.

    Args:
        scores: Shape (B, K, h, w).
        topk: How many; all where there are fewer classes.

    Returns:
        ``scores`` float16 and ``classes`` int16 (int32 beyond 32767 classes), both (B, k, h, w).
    """
    k = min(topk, scores.shape[1])
    values, classes = scores.topk(k, dim=1)
    kind = torch.int16 if scores.shape[1] <= torch.iinfo(torch.int16).max + 1 else torch.int32
    return {"scores": values.half().cpu().numpy(), "classes": classes.to(kind).cpu().numpy()}


class _Slice(Dataset):
    """Some pictures of a split, each with the CRC-32 of its file."""

    def __init__(self, dataset: ImageFolder, start: int, stop: int) -> None:
        self.dataset, self.start, self.stop = dataset, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        number = self.start + index
        return self.dataset[number]["inputs"], picture_crc(self.dataset.archive, self.dataset.archive.names[number])


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its name only when it is complete and on the disk."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _save_part(path: Path, arrays: Mapping[str, np.ndarray], key: str) -> None:
    from safetensors.numpy import save

    with _atomic(path) as stream:
        stream.write(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {"key": key}))


def _check_part(path: Path, key: str, folder: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            same = (file.metadata() or {}).get("key") == key
    except (SafetensorError, OSError):
        same = False
    if not same:
        raise UserError(
            f"'{folder}' holds parts of other maps (other pictures, teacher, top-k or shards): "
            "remove it, or give another --out"
        )


def _join(parts: Sequence[Path], out: Path, metadata: Mapping[str, str], names: Sequence[str]) -> None:
    """Write the parts behind one another into one safetensors file, without holding them all in memory."""
    from safetensors.numpy import load_file

    text = np.frombuffer(names_bytes(names), dtype=np.uint8)
    first = load_file(parts[0])
    content = hashlib.sha256()
    for part in parts:
        content.update(sha256_of(part).encode())
    header: dict[str, object] = {"__metadata__": {**metadata, "content": content.hexdigest()}}
    offset = 0
    for name in ("crc", "classes", "scores", "names"):  # wide numbers first, so that all lie aligned
        like = text if name == "names" else first[name]
        shape = list(text.shape) if name == "names" else [len(names), *like.shape[1:]]
        size = int(np.prod(shape)) * like.itemsize
        header[name] = {"dtype": KINDS[like.dtype.name], "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with _atomic(out) as stream:
        stream.write(len(head).to_bytes(8, "little") + head)
        for name in ("crc", "classes", "scores"):
            for part in parts:
                stream.write(load_file(part)[name].tobytes())
        stream.write(text.tobytes())
