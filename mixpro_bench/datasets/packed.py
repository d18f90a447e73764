"""Random access to the members of a zip or tar: an index made once, then plain reads at known places.

Reading at a place (``pread``) moves no shared file position, so threads and forked workers may use one open file.
The index of a big file is kept in the user's cache: ImageNet's has 1.3 million members, and finding those of a tar
means to walk through 150 GB.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import posixpath
import struct
import tarfile
import zipfile
import zlib
from bisect import bisect_left
from pathlib import Path
from typing import Any

import numpy as np

from mixpro_bench.errors import UserError
from mixpro_bench.files import cache_dir, write_bytes_atomic

# Smaller files are indexed in well under a second, and their index is not worth a file.
CACHED_FROM = 10_000
VERSION = 1
_RAW = -1  # "method" of a tar's members, which begin at their place and have no checksum
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class Packed:
    """The members of one zip or tar; see `open_packed`.

    Args:
        path: The file.
        names: Sorted, with ``/``.
        table: int64 (N, 4): place, size in the file, compression method, CRC-32.
    """

    def __init__(self, path: Path, names: list[str], table: np.ndarray) -> None:
        self.path, self.names, self.table = path, names, table
        self._file: io.FileIO | None = None

    def read(self, name: str) -> bytes:
        """Return the bytes of a member.

        Raises:
            KeyError: There is no such member.
            OSError: The file ends early or the bytes are not those that were packed.
        """
        place, size, method, crc = (int(value) for value in self.table[self._row(name)])
        if method == _RAW:
            return self._at(place, size)
        magic, name_length, extra_length = _LOCAL_HEADER.unpack(self._at(place, _LOCAL_HEADER.size))
        if magic != b"PK\x03\x04":
            raise OSError(f"'{self.path}' has no member where its directory says that '{name}' is")
        content = self._at(place + _LOCAL_HEADER.size + name_length + extra_length, size)
        if method == zipfile.ZIP_DEFLATED:
            try:
                content = zlib.decompress(content, -zlib.MAX_WBITS)
            except zlib.error as error:
                raise OSError(f"damaged in '{self.path}': {error}") from error
        if zlib.crc32(content) != crc:
            raise OSError(f"damaged in '{self.path}': wrong checksum")
        return content

    def stamp(self, name: str) -> str:
        """Return place, size and checksum of a member as text."""
        return ":".join(str(value) for value in self.table[self._row(name)])

    def _row(self, name: str) -> int:
        row = bisect_left(self.names, name)
        if row == len(self.names) or self.names[row] != name:
            raise KeyError(name)
        return row

    def _at(self, place: int, size: int) -> bytes:
        if self._file is None:
            self._file = io.FileIO(self.path)
        parts, missing = [], size
        while missing:
            part = os.pread(self._file.fileno(), missing, place + size - missing)
            if not part:
                raise OSError(f"'{self.path}' ends early: fetch or pack it again")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the open file."""
        return {**self.__dict__, "_file": None}


def open_packed(path: str | Path) -> Packed:
    """Index a zip or an uncompressed tar.

    Links of a tar to its own members are followed. Of members with the same name the last counts, as when unpacking.

    Raises:
        UserError: The file cannot be read, is a compressed tar, or has members of a kind that cannot be read at once.
    """
    path = Path(path)
    about = path.stat()
    key = f"{VERSION}|{path.resolve()}|{about.st_size}|{about.st_mtime_ns}"
    kept = cache_dir() / "archives" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
    found = _load(kept, key)
    if found is None:
        members = _index_zip(path) if path.suffix.lower() == ".zip" else _index_tar(path)
        names = sorted(members)
        table = np.asarray([members[name] for name in names], dtype=np.int64).reshape(-1, 4)
        found = names, table
        if len(names) >= CACHED_FROM:
            _save(kept, key, names, table)
    return Packed(path, *found)


def _index_zip(path: Path) -> dict[str, tuple[int, int, int, int]]:
    members = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
                    raise UserError(
                        f"'{info.filename}' in '{path}' is encrypted or packed by method {info.compress_type}: pack it "
                        "again, stored or deflated"
                    )
                members[_plain(info.filename)] = (info.header_offset, info.compress_size, info.compress_type, info.CRC)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"'{path}' is not a readable zip ({error}): fetch or pack it again") from error
    return members


def _index_tar(path: Path) -> dict[str, tuple[int, int, int, int]]:
    members, links = {}, {}
    try:
        with tarfile.open(path, "r:") as archive:
            while (info := archive.next()) is not None:
                name = _plain(info.name)
                if info.issparse():
                    raise UserError(f"'{name}' in '{path}' is a sparse file: pack it again without --sparse")
                if info.isreg():
                    members[name] = (info.offset_data, info.size, _RAW, 0)
                elif info.islnk():
                    links[name] = _plain(info.linkname)
                elif info.issym():
                    links[name] = _plain(posixpath.join(posixpath.dirname(name), info.linkname))
                # tarfile keeps every member it has met, a gigabyte for ImageNet.
                archive.members.clear()  # type: ignore[attr-defined]
    except (tarfile.TarError, OSError, EOFError) as error:
        with open(path, "rb") as stream:
            start = stream.read(6)
        if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
            raise UserError(
                f"'{path}' is a compressed tar, whose members cannot be read one by one: uncompress it (gunzip, unxz)"
            ) from error
        raise UserError(f"'{path}' is not a readable tar ({error}): fetch or pack it again") from error
    for name, target in links.items():
        for _ in range(8):  # a link to a link
            target = links.get(target, target)
        if target in members:
            members[name] = members[target]
    return members


def _plain(name: str) -> str:
    """``./a//b`` is ``a/b``."""
    return posixpath.normpath(name).lstrip("/")


def _load(kept: Path, key: str) -> tuple[list[str], np.ndarray] | None:
    """Return a kept index, None where there is none of this very file."""
    try:
        with np.load(kept, allow_pickle=False) as content:
            if bytes(content["arr_0"]).decode("utf-8", "surrogateescape") != key:
                return None
            names, table = bytes(content["arr_1"]).decode("utf-8", "surrogateescape").split("\0"), content["table"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return (names, table) if table.shape == (len(names), 4) else None


def _save(kept: Path, key: str, names: list[str], table: np.ndarray) -> None:
    buffer = io.BytesIO()
    texts = (np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8) for text in (key, "\0".join(names)))
    np.savez(buffer, *texts, table=table)
    with contextlib.suppress(OSError):  # a full or read-only home costs the next start some time, no more
        write_bytes_atomic(kept, buffer.getvalue())
