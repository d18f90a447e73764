"""Writing and hashing files so that a kill at any moment leaves either the old content or the new one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path


def cache_dir() -> Path:
    """Return the folder for what can be made again: MIXPRO_CACHE_DIR, else mixpro-bench in the user's cache.

    It need not exist yet, and nobody may depend on being able to write there.
    """
    told = os.environ.get("MIXPRO_CACHE_DIR")
    return Path(told) if told else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mixpro-bench"


def write_text_atomic(path: str | os.PathLike[str], text: str, *, sync: bool = True) -> Path:
    """Write ``text`` to ``path`` in one step; the folder is made if it is missing.

    Args:
        path: Where the text goes.
        text: What is written, as UTF-8.
        sync: Wait until the bytes are on the disk. Off for files that only inform, such as a progress file.
    """
    return write_bytes_atomic(path, text.encode("utf-8"), sync=sync)


def write_bytes_atomic(path: str | os.PathLike[str], content: bytes, *, sync: bool = True) -> Path:
    """Write ``content`` to ``path`` in one step; as `write_text_atomic`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each writer: two processes that write the same file both succeed, the later one stands.
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        # mkstemp gives 0600; a result is meant to be read by others as the user's umask allows.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return path


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
