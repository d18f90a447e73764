"""Checkpoints: tensors and primitives, written in one step, read without executing anything.

Reason: mmengine pickles objects of its own into checkpoints, writes them in place, and torch rightly refuses to read
them (`weights_only=True`).
Can go when mmengine writes checkpoints that torch reads as they are, in one step.
"""

from __future__ import annotations

import contextlib
import enum
import os
import pickle
import re
import tempfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixpro_bench.compat import foreign
from mixpro_bench.errors import UserError
from mixpro_bench.files import sha256_of as sha256_file

__all__ = [
    "flatten_message_hub",
    "latest_checkpoint",
    "load_checkpoint",
    "restore_message_hub",
    "save_checkpoint",
    "sha256_file",
    "to_primitives",
]

_ZIP = b"PK\x03\x04"
_PRIMITIVES = (str, bytes, bool, int, float, complex, type(None))
_TORCH = (torch.Tensor, torch.dtype, torch.device, torch.Size)


def save_checkpoint(obj: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write a checkpoint in one step: a temporary file in the same folder, synced, renamed.

    Args:
        obj: Tensors and what `to_primitives` makes primitives of.
        path: Where the checkpoint goes; what lies there is replaced, or kept if anything fails.

    Raises:
        TypeError: ``obj`` holds something that is neither a tensor nor a primitive; the key is named.
        UserError: The disk is full, or cannot be written.
    """
    path = Path(path)
    plain = to_primitives(obj)
    try:
        _write(plain, path)
    except (OSError, RuntimeError) as error:
        # torch ends its archive on the way out, fails again, and says that instead.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise UserError(
            f"checkpoint {path} cannot be written ({cause.strerror or cause}): make room and run again, what was "
            "there before is untouched"
        ) from error
    return path


def _write(plain: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            torch.save(plain, stream)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def load_checkpoint(path: str | os.PathLike[str], map_location: Any = "cpu", *, mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint: torch's formats or safetensors, ours or somebody else's. Nothing in it is executed.

    What others pickle beside their tensors (argparse's Namespace, yacs' CfgNode, mmengine's HistoryBuffer, NumPy) comes
    back as dicts, tensors and numbers. A safetensors file comes back as ``dict(state_dict=..., meta=...)``.

    Args:
        path: A local file.
        map_location: As in ``torch.load``.
        mmap: Read tensors only when they are used, where the format allows it: quick for whoever wants the rest.

    Raises:
        UserError: The file is missing, empty, truncated, no checkpoint, or contains pickled code.
    """
    path = Path(path)
    head = _head(path)
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return _load_safetensors(path, map_location)
    if head.startswith(_ZIP):
        _check_archive(path)
    try:
        loaded = _torch_load(path, map_location, mmap=mmap and head.startswith(_ZIP))
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused is None:
            raise UserError(f"{path} is not a checkpoint: it is neither a torch nor a safetensors file") from error
        raise UserError(
            f"{path} contains pickled code ({refused[1]}), which is never executed: save its tensors alone, "
            "with torch.save(dict(state_dict=...)) or as safetensors"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        if head.startswith(_ZIP) or head.startswith(foreign.LEGACY_MAGIC):
            raise UserError(f"{path} is damaged or truncated: copy or save it again ({_first_line(error)})") from error
        raise UserError(f"{path} is not a checkpoint: it is neither a torch nor a safetensors file") from error
    if not isinstance(loaded, Mapping):
        raise UserError(f"{path} is not a checkpoint: it holds a {type(loaded).__name__} where a dict is expected")
    return dict(loaded)


def latest_checkpoint(work_dir: str | os.PathLike[str]) -> Path | None:
    """Return the checkpoint that ``last_checkpoint`` in a work dir names, or None.

    A work dir that was moved is still understood: the file is then taken by its name.
    """
    pointer = Path(work_dir) / "last_checkpoint"
    if not pointer.is_file():
        return None
    named = Path(pointer.read_text(encoding="utf-8").strip())
    here = Path(work_dir) / named.name
    return here if not named.is_file() and here.is_file() else named


def to_primitives(value: Any, *, drop: bool = False, where: str = "checkpoint") -> Any:
    """Make tensors and primitives of a nested value.

    Mappings become dicts (an OrderedDict stays one, with the version data of ``state_dict``), paths become strings,
    NumPy numbers become numbers, numeric arrays tensors, sets lists.

    Args:
        value: The value.
        drop: Leave out dictionary items that cannot be converted, instead of raising.
        where: How the value is called in an error.

    Raises:
        TypeError: Something cannot be converted; its key is named.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.nn.Parameter):
        return value.detach()
    # Exact types: a subclass would be pickled by its own class.
    if type(value) in _PRIMITIVES or isinstance(value, _TORCH):
        return value
    if isinstance(value, enum.Enum):
        return to_primitives(value.value, drop=drop, where=where)
    for kind in (str, bytes, int, float, complex):
        if isinstance(value, kind):
            return kind(value)  # type: ignore[arg-type]
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy()) if value.dtype.kind in "biuf" else value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return _mapping_to_primitives(value, drop, where)
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        plain = [to_primitives(item, drop=drop, where=f"{where}[{i}]") for i, item in enumerate(items)]
        return tuple(plain) if isinstance(value, tuple) else plain
    raise TypeError(f"{where} is a {type(value).__name__}: a checkpoint holds tensors and primitives only")


def flatten_message_hub(state: Mapping[str, Any]) -> dict[str, Any]:
    """Make tensors and primitives of ``MessageHub.state_dict()``; information that cannot be converted is left out."""
    scalars = {}
    for key, buffer in state["log_scalars"].items():
        log, count = buffer.data
        scalars[key] = {
            "log": torch.as_tensor(np.asarray(log, dtype=np.float64)),
            "count": torch.as_tensor(np.asarray(count, dtype=np.float64)),
            "max_length": int(buffer.max_length),
        }
    info = to_primitives(dict(state["runtime_info"]), drop=True)
    known = scalars.keys() | info.keys()
    resumed = {key: bool(flag) for key, flag in state["resumed_keys"].items() if key in known}
    return {"log_scalars": scalars, "runtime_info": info, "resumed_keys": resumed}


def restore_message_hub(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `flatten_message_hub`: what ``MessageHub.load_state_dict`` takes."""
    from mmengine.logging import HistoryBuffer

    scalars = OrderedDict()
    for key, value in flat["log_scalars"].items():
        log, count = (np.asarray(value[name], dtype=np.float64) for name in ("log", "count"))
        scalars[key] = HistoryBuffer(log, count, max_length=int(value.get("max_length", 1_000_000)))
    return {
        "log_scalars": scalars,
        "runtime_info": dict(flat["runtime_info"]),
        "resumed_keys": dict(flat["resumed_keys"]),
    }


def _mapping_to_primitives(value: Mapping[Any, Any], drop: bool, where: str) -> dict[Any, Any]:
    plain: dict[Any, Any] = OrderedDict() if isinstance(value, OrderedDict) else {}
    for key, item in value.items():
        try:
            plain[to_primitives(key, where=f"a key of {where}")] = to_primitives(
                item, drop=drop, where=f"{where}[{key!r}]"
            )
        except TypeError:
            if not drop:
                raise
    if hasattr(value, "_metadata"):
        plain._metadata = value._metadata  # type: ignore[attr-defined]
    return plain


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the checkpoint file in it")
    try:
        with path.open("rb") as stream:
            head = stream.read(32)
    except FileNotFoundError as error:
        raise UserError(f"checkpoint {path} does not exist: check the path") from error
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    if not head:
        raise UserError(f"{path} is empty: copy or save the checkpoint again")
    return head


def _check_archive(path: Path) -> None:
    """Tell a truncated archive, and archives that are no checkpoints, apart by their table of contents."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(f"{path} is truncated: copy or save the checkpoint again") from error
    inner = {name.split("/", 1)[-1] for name in names}
    if "constants.pkl" in inner:
        raise UserError(f"{path} is a TorchScript program, not a checkpoint: save its state_dict with torch.save")
    if "data.pkl" not in inner:
        raise UserError(f"{path} is not a checkpoint: it is a zip archive of something else")


def _torch_load(path: Path, map_location: Any, *, mmap: bool) -> Any:
    try:
        with warnings.catch_warnings():
            # What torch thinks of a file's pickle protocol is of no use to whoever named the wrong file.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error):
            raise
    return foreign.load(path, map_location)


def _load_safetensors(path: Path, map_location: Any) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as archive:
            tensors = OrderedDict((key, archive.get_tensor(key)) for key in archive.keys())  # noqa: SIM118
            meta = dict(archive.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is not a readable safetensors file: {_first_line(error)}") from error
    if map_location is not None:
        tensors = OrderedDict((key, tensor.to(map_location)) for key, tensor in tensors.items())
    return {"meta": meta, "state_dict": tensors}


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself survive a power cut; not every file system allows it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
