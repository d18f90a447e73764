"""Reading other people's checkpoints, which pickle harmless classes beside their tensors.

Reason: released weights carry argparse's Namespace, yacs' CfgNode, NumPy numbers, and mmengine's carry HistoryBuffer.
torch's weights-only reader refuses them. It is given inert stand-ins under those names: data holders of this file, that
import nothing and execute nothing. The real classes are never let in, and every other name stays refused.
Can go when nobody distributes such files any more.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

# What torch wrote before its files were zip archives: a pickled number.
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def load(path: Path, map_location: Any = "cpu") -> Any:
    """Read a checkpoint through the stand-ins and return tensors and primitives.

    Raises:
        pickle.UnpicklingError: It names a class that has no stand-in.
    """
    with torch.serialization.safe_globals(_STAND_INS):
        return _plain(torch.load(path, map_location=map_location, weights_only=True))


class _Attributes:
    """Stands for an object that only holds attributes (argparse.Namespace)."""


class _Mapping:
    """Stands for a dict with attributes (yacs' CfgNode): an OrderedDict, which the reader can fill."""

    def __new__(cls, *args: Any) -> OrderedDict:  # type: ignore[misc]
        return OrderedDict()


class _HistoryBuffer:
    """Stands for mmengine's HistoryBuffer; the statistics methods pickled with it are dropped."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


class _Dtype:
    """Stands for numpy.dtype; only plain numbers and booleans are understood."""

    def __init__(self, code: Any, *flags: Any) -> None:
        self.code = code.decode() if isinstance(code, bytes) else str(code)
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        self.order = order.decode() if isinstance(order, bytes) else str(order)

    def real(self) -> np.dtype:
        if self.code[:1] not in "biuf":
            raise ValueError(f"NumPy data of type {self.code!r} in a checkpoint")
        return np.dtype(("" if self.order in "|=" else self.order) + self.code)


class _Array:
    """Stands for numpy.ndarray."""

    def __init__(self, *args: Any) -> None:
        self.state: tuple[Any, ...] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def real(self) -> Any:
        if self.state is None:
            return None
        _, shape, dtype, fortran, data = self.state
        if isinstance(data, list):  # an object array pickles its items
            return _plain(data)
        flat = np.frombuffer(_as_bytes(data), dtype=dtype.real())
        return torch.from_numpy(flat.reshape(shape, order="F" if fortran else "C").astype(flat.dtype.newbyteorder("=")))


class _Scalar:
    """Stands for numpy's scalar numbers."""

    def __init__(self, dtype: _Dtype, data: Any = b"") -> None:
        self.dtype, self.data = dtype, data

    def real(self) -> Any:
        return np.frombuffer(_as_bytes(self.data), dtype=self.dtype.real())[0].item()


def _nothing(*args: Any) -> None:
    """Stands for ``getattr``, by which HistoryBuffer's methods are named."""


def _as_bytes(data: Any) -> bytes:
    return data.encode("latin1") if isinstance(data, str) else bytes(data)


def _plain(value: Any) -> Any:
    """Replace stand-ins by dicts, tensors and numbers; containers are changed in place where they can be."""
    if isinstance(value, (_Array, _Scalar)):
        return value.real()
    if isinstance(value, _HistoryBuffer):
        state = value.state
        return {
            "log": _plain(state["_log_history"]),
            "count": _plain(state["_count_history"]),
            "max_length": int(state.get("max_length", 1_000_000)),
        }
    if isinstance(value, _Attributes):
        return {str(key): _plain(item) for key, item in vars(value).items()}
    if isinstance(value, (_Dtype, type)):
        return None
    if isinstance(value, dict):
        for key in list(value):
            value[key] = _plain(value[key])
        return value
    if isinstance(value, list):
        value[:] = [_plain(item) for item in value]
        return value
    if type(value) is tuple:
        return tuple(_plain(item) for item in value)
    return value


_NUMPY = [
    (stand_in, f"numpy.{core}.multiarray.{name}")
    for core in ("core", "_core")
    for name, stand_in in (("_reconstruct", _Array), ("scalar", _Scalar))
]
_STAND_INS: list[Any] = [
    (_Attributes, "argparse.Namespace"),
    (_Mapping, "yacs.config.CfgNode"),
    (_Mapping, "fvcore.common.config.CfgNode"),
    (_Mapping, "mmengine.config.config.ConfigDict"),
    (_HistoryBuffer, "mmengine.logging.history_buffer.HistoryBuffer"),
    (_Dtype, "numpy.dtype"),
    (_Array, "numpy.ndarray"),
    (_nothing, "builtins.getattr"),
    *_NUMPY,
]
