"""Looks at many files in parallel processes, shows how far it is, and remembers which were good."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mixpro_bench.errors import UserError
from mixpro_bench.files import cache_dir

SAMPLE = 32
CHUNK = 32
# Fewer files than these are looked at in this process: starting others would take longer.
ALONE = 64
COMMIT_EVERY = 2.0  # seconds

Look = Callable[[str], dict[str, Any]]


class Source(Protocol):
    """Where files come from: a folder, zip or tar."""

    @property
    def path(self) -> Path:
        """Where they are."""

    def open(self, name: str) -> Any:
        """Open a file for reading."""

    def stamp(self, name: str) -> str:
        """Return what changes when the file does."""


class Scanner:
    """How files are looked at.

    Args:
        root: The data, which the remembered results belong to.
        deep: Look at every file; without it at `SAMPLE` of each folder, evenly spread.
        jobs: Processes.
        remember: Keep the good results of a deep check in the user's cache, so that one that was stopped goes on where
            it was. A file that changed is looked at again, and so is one that was bad.
        console: Where the progress bar goes; None for none.
    """

    def __init__(
        self, root: Path, deep: bool = False, jobs: int = 1, remember: bool = True, console: Console | None = None
    ) -> None:
        self.deep, self.jobs, self.console = deep, jobs, console
        self.looked = self.remembered = 0
        self.state = _State(root) if deep and remember else None

    def run(self, title: str, source: Source, names: Sequence[str], look: Look) -> dict[str, dict[str, Any]]:
        """Look at ``names`` of ``source`` (a sample of them unless deep) and return what was seen of each.

        Args:
            title: Shown beside the bar; also tells one kind of look from another in the remembered results.
            source: Where the files are.
            names: Files.
            look: Returns primitives; a key ``"problem"`` that is not None says that the file is bad.

        Raises:
            UserError: A process was killed from outside.
        """
        chosen = names if self.deep else spread(names, SAMPLE)
        keys = {name: _key(title, source, name) for name in chosen} if self.state else {}
        seen = self.state.get(keys) if self.state else {}
        left = [name for name in chosen if name not in seen]
        self.looked += len(left)
        self.remembered += len(seen)
        last = time.monotonic()
        with contextlib.ExitStack() as stack:
            results = stack.enter_context(contextlib.closing(_looks(left, look, self.jobs)))
            if self.state:
                stack.callback(self.state.commit)  # also when the check is interrupted
            chunk = next(results, None)  # the processes are forked here, before the bar starts its thread
            bar = stack.enter_context(_bar(self.console, self.deep))
            task = bar.add_task(title, total=len(chosen), completed=len(seen))
            while chunk is not None:
                for name, result in chunk:
                    seen[name] = result
                    if self.state and result.get("problem") is None:
                        self.state.put(keys[name], result)
                bar.advance(task, len(chunk))
                if self.state and time.monotonic() - last > COMMIT_EVERY:
                    self.state.commit()
                    last = time.monotonic()
                chunk = next(results, None)
        return {name: seen[name] for name in chosen}


def spread(names: Sequence[str], number: int) -> list[str]:
    """Return at most ``number`` of the names, evenly spread, with the first and the last.

    Examples:
        >>> spread("abcdefg", 3)
        ['a', 'd', 'g']
    """
    if len(names) <= number:
        return list(names)
    return [names[round(place * (len(names) - 1) / (number - 1))] for place in range(number)]


def _bar(console: Console | None, deep: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = console is not None and deep and console.is_terminal
    return Progress(*columns, console=console or Console(stderr=True), disable=not shown, transient=True)


def _looks(names: Sequence[str], look: Look, jobs: int) -> Generator[list[tuple[str, dict[str, Any]]], None, None]:
    """Yield (name, result) by the chunk, in any order."""
    chunks = [list(names[start : start + CHUNK]) for start in range(0, len(names), CHUNK)]
    if jobs <= 1 or len(names) < ALONE:
        for chunk in chunks:
            yield [(name, look(name)) for name in chunk]
        return
    # Forked workers inherit the look with its list of files, which for ImageNet takes long to pickle.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    pool = ProcessPoolExecutor(
        min(jobs, len(chunks)),
        mp_context=multiprocessing.get_context(method),
        initializer=_begin,
        initargs=(look, os.getpid()),
    )
    try:
        pending: list[Future] = [pool.submit(_chunk, chunk) for chunk in chunks]
        for future in as_completed(pending):
            yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a process of the check was killed, probably for want of memory: start it again with fewer --jobs (what "
            "was checked so far is remembered)"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_LOOK: Look | None = None


def _begin(look: Look, parent: int) -> None:
    """Prepare a worker; it ends when its parent does, however that came about."""
    global _LOOK
    _LOOK = look

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _chunk(names: list[str]) -> list[tuple[str, dict[str, Any]]]:
    assert _LOOK is not None
    return [(name, _LOOK(name)) for name in names]


def _key(title: str, source: Source, name: str) -> bytes:
    try:
        stamp = source.stamp(name)
    except (OSError, KeyError):
        stamp = "missing"
    return hashlib.blake2b(f"{title}|{source.path}|{name}|{stamp}".encode(errors="replace"), digest_size=12).digest()


class _State:
    """Good results in a small SQLite file, which a kill leaves whole; without a usable file nothing is remembered."""

    def __init__(self, root: Path) -> None:
        name = hashlib.sha256(str(root.resolve()).encode(errors="replace")).hexdigest()[:24]
        self.path = cache_dir() / "check-data" / f"{name}.sqlite"
        self.base: sqlite3.Connection | None = None
        for _ in range(2):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.base = sqlite3.connect(self.path, timeout=30)
                self.base.execute("CREATE TABLE IF NOT EXISTS good (key BLOB PRIMARY KEY, seen TEXT) WITHOUT ROWID")
                return
            except sqlite3.OperationalError:
                break  # locked, read-only or full
            except sqlite3.DatabaseError:  # not a database, or damaged
                self.path.unlink(missing_ok=True)
            except OSError:
                break
        self.base = None

    def get(self, keys: dict[str, bytes]) -> dict[str, dict[str, Any]]:
        """Return what is remembered under ``keys``, by name."""
        if self.base is None:
            return {}
        found = {}
        try:
            for name, key in keys.items():
                row = self.base.execute("SELECT seen FROM good WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    found[name] = json.loads(row[0])
        except (sqlite3.Error, ValueError):
            return {}
        return found

    def put(self, key: bytes, result: dict[str, Any]) -> None:
        """Remember, at the next `commit`."""
        self._try(lambda base: base.execute("REPLACE INTO good VALUES (?, ?)", (key, json.dumps(result))))

    def commit(self) -> None:
        """Write what was put."""
        self._try(lambda base: base.commit())

    def _try(self, action: Callable[[sqlite3.Connection], Any]) -> None:
        if self.base is not None:
            try:
                action(self.base)
            except sqlite3.Error:  # the check matters, not its memory
                self.base = None
