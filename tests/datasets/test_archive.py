from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import pickle
import tarfile
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mixpro_bench.datasets import packed
from mixpro_bench.datasets.archive import Archive, class_folders
from mixpro_bench.datasets.classification import ImageFolder
from mixpro_bench.datasets.fingerprint import fingerprint
from mixpro_bench.errors import UserError

PART = st.text("abAB01-_. é日", min_size=1, max_size=6).map(lambda s: s.strip(". ") or "x")
NAMES = st.lists(st.tuples(PART, st.lists(PART, max_size=1).map(tuple), PART), min_size=1, max_size=8, unique=True)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pack_tar(path: Path, members: dict[str, bytes], format: int = tarfile.PAX_FORMAT) -> None:
    with tarfile.open(path, "w", format=format) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def pack_zip(path: Path, members: dict[str, bytes], method: int) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def content(archive: Archive) -> list[bytes]:
    return [archive.open(name).read() for name in archive.names]


@settings(max_examples=40, deadline=None)
@given(names=NAMES, prefix=st.sampled_from(["", "train/", "./", "./train/"]), data=st.data())
def test_order_and_bytes_are_those_of_folders(names: list[tuple], prefix: str, data: st.DataObject) -> None:
    paths = {f"{top}/{'/'.join([*inner, last])}.png" for top, inner, last in names}
    # A file cannot also be a folder.
    paths = {path for path in paths if not any(other.startswith(f"{path}/") for other in paths)}
    members = {path: path.encode() * data.draw(st.integers(0, 300)) for path in paths}
    order = data.draw(st.permutations(sorted(members)))
    packed_members = {prefix + path: members[path] for path in order}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path, body in members.items():
            (root / "a/train" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "a/train" / path).write_bytes(body)
        for place in "bcde":
            (root / place).mkdir()
        pack_tar(root / "b/train.tar", packed_members)
        pack_tar(root / "c/train.tar", packed_members, tarfile.GNU_FORMAT)
        pack_zip(root / "d/train.zip", packed_members, zipfile.ZIP_STORED)
        pack_zip(root / "e/train.zip", packed_members, zipfile.ZIP_DEFLATED)
        folder, *others = [Archive(root / place, "train") for place in "abcde"]
        assert folder.names == sorted(members)
        for other in others:
            assert other.names == folder.names
            assert content(other) == content(folder)


@pytest.fixture
def members() -> dict[str, bytes]:
    draw = np.random.default_rng(0)
    found = {}
    for name in ("bee", "ant"):
        for number in range(3):
            buffer = io.BytesIO()
            Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(buffer, "png")
            found[f"train/{name}/{number}.png"] = buffer.getvalue()
    return found


def test_image_folder_reads_a_tar(members: dict[str, bytes], tmp_path: Path) -> None:
    pack_tar(tmp_path / "train.tar", {**members, "train/._x.png": b"", "train/list.txt": b"no picture"})
    pack_tar(tmp_path / "val.tar", members)
    data = ImageFolder(str(tmp_path), "train", {"type": "light", "input_size": 8})
    assert data.metainfo["classes"] == class_folders(tmp_path, "train") == ("ant", "bee")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    with Image.open(io.BytesIO(members["train/ant/1.png"])) as picture:
        assert (np.asarray(data.image(1)) == np.asarray(picture)).all()
    settings_of_suite = {"root": str(tmp_path), "train": "train", "val": "val"}
    before = fingerprint(settings_of_suite)
    pack_tar(tmp_path / "train.tar", {**members, "train/ant/9.png": members["train/ant/0.png"] * 99})
    assert fingerprint(settings_of_suite) != before


def _read_all(archive: Archive) -> list[bytes]:
    return content(archive)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_threads_forks_and_pickles_share_one_archive(members: dict[str, bytes], tmp_path: Path, kind: str) -> None:
    many = {f"train/c{i % 7}/{i}.png": os.urandom(3000 + i) for i in range(200)}
    if kind == "tar":
        pack_tar(tmp_path / "train.tar", many)
    else:
        pack_zip(tmp_path / "train.zip", many, zipfile.ZIP_DEFLATED)
    archive = Archive(tmp_path, "train")
    expected = [many[f"train/{name}"] for name in archive.names]
    archive.open(archive.names[0])  # open before the fork
    with multiprocessing.get_context("fork").Pool(2) as pool:
        forked = pool.map_async(_read_all, [archive] * 3)
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(_read_all, [archive] * 4)) == [expected] * 4
        assert forked.get(20) == [expected] * 3
    assert content(pickle.loads(pickle.dumps(archive))) == expected


def test_links_and_repeated_members(members: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "train.tar"
    pack_tar(path, members)
    with tarfile.open(path, "a") as archive:
        for name, kind, target in (
            ("train/ant/hard.png", tarfile.LNKTYPE, "train/bee/0.png"),
            ("train/ant/soft.png", tarfile.SYMTYPE, "../bee/1.png"),
            ("train/ant/lost.png", tarfile.SYMTYPE, "/nowhere.png"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
        info = tarfile.TarInfo("train/ant/0.png")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"new"))
    archive = Archive(tmp_path, "train")
    assert archive.open("ant/hard.png").read() == members["train/bee/0.png"]
    assert archive.open("ant/soft.png").read() == members["train/bee/1.png"]
    assert archive.open("ant/0.png").read() == b"new"
    assert "ant/lost.png" not in archive
    assert "bee/2.png" in archive


def test_index_of_a_big_file_is_kept(
    members: dict[str, bytes], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "train.tar"
    pack_tar(path, members)
    Archive(tmp_path, "train")
    assert not cache.exists()
    monkeypatch.setattr(packed, "CACHED_FROM", 1)
    expected = Archive(tmp_path, "train").names
    [kept] = (cache / "archives").iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(packed, "_index_tar", lambda path: pytest.fail("indexed again"))
        assert Archive(tmp_path, "train").names == expected
        assert content(Archive(tmp_path, "train")) == [members[f"train/{name}"] for name in expected]
    # Neither a damaged index nor that of another file is believed.
    for damage in (b"", b"PK\x03\x04 damaged", kept.read_bytes()[:-40]):
        kept.write_bytes(damage)
        assert Archive(tmp_path, "train").names == expected
    pack_tar(path, {**members, "train/ant/x.png": b"x"})
    assert len(Archive(tmp_path, "train").names) == 7
    # A cache that cannot be written costs time only.
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(path))
    assert len(Archive(tmp_path, "train").names) == 7


def test_bad_archives_are_one_sentence(members: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "train.tar"
    pack_tar(path, members)
    whole = path.read_bytes()
    path.write_bytes(gzip.compress(whole))
    with pytest.raises(UserError, match="compressed tar"):
        Archive(tmp_path, "train")
    # Cut within the last member (a tar ends with empty blocks).
    last = len(whole.rstrip(b"\0"))
    path.write_bytes(whole[: last - 20])
    with pytest.raises(UserError, match="not a readable tar"):
        Archive(tmp_path, "train")
    path.write_bytes(b"nothing like it" * 100)
    with pytest.raises(UserError, match="not a readable tar"):
        Archive(tmp_path, "train")
    pack_tar(path, {"n01440764.tar": b"", "n01443537.tar": b""})
    with pytest.raises(UserError, match=r"unpack 'n01440764\.tar'"):
        Archive(tmp_path, "train")
    path.unlink()
    pack_zip(tmp_path / "train.zip", members, zipfile.ZIP_LZMA)
    with pytest.raises(UserError, match="method 14"):
        Archive(tmp_path, "train")
    pack_zip(tmp_path / "train.zip", members, zipfile.ZIP_STORED)
    body = (tmp_path / "train.zip").read_bytes()
    picture = members["train/ant/0.png"]
    (tmp_path / "train.zip").write_bytes(body.replace(picture, picture[:-9] + b"123456789"))
    data = ImageFolder(str(tmp_path), "train", {"type": "light", "input_size": 8})
    with pytest.raises(UserError, match=r"ant/0\.png.*wrong checksum"):
        data.image(0)
