"""Checkpoints that come back, that survive a kill, and that execute nothing."""

from __future__ import annotations

import argparse
import enum
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from safetensors.torch import save_file

from mixpro_bench.compat.checkpoint import (
    flatten_message_hub,
    latest_checkpoint,
    load_checkpoint,
    restore_message_hub,
    save_checkpoint,
    sha256_file,
    to_primitives,
)
from mixpro_bench.errors import UserError


def content() -> dict:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    return {"meta": {"iter": 3, "name": "a"}, "state_dict": model.state_dict()}


def test_round_trip_keeps_tensors_and_versions(tmp_path):
    saved = content()
    path = save_checkpoint(saved, tmp_path / "new" / "a.pth")
    loaded = load_checkpoint(path)
    assert loaded["meta"] == saved["meta"]
    assert list(loaded["state_dict"]) == list(saved["state_dict"])
    assert all(torch.equal(loaded["state_dict"][key], value) for key, value in saved["state_dict"].items())
    assert loaded["state_dict"]._metadata == saved["state_dict"]._metadata
    assert os.listdir(path.parent) == ["a.pth"]
    assert len(sha256_file(path)) == 64


def test_a_failed_write_leaves_the_older_checkpoint(tmp_path, monkeypatch):
    path = save_checkpoint(content(), tmp_path / "a.pth")
    before = sha256_file(path)

    def full_disk(value, stream, *args, **kwargs):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(UserError, match="No space left on device"):
        save_checkpoint(content(), path)
    assert sha256_file(path) == before
    assert os.listdir(tmp_path) == ["a.pth"]


def test_what_is_no_primitive_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"checkpoint\['meta'\]\['x'\]\[1\] is a Namespace"):
        save_checkpoint({"meta": {"x": [1, argparse.Namespace()]}}, tmp_path / "a.pth")
    assert not list(tmp_path.iterdir())


class Colour(str, enum.Enum):
    RED = "red"


def test_primitives():
    plain = to_primitives(
        {
            "f": Colour.RED,
            "a": np.float32(0.5),
            "b": np.arange(3),
            "c": {2, 1},
            "d": Path("x"),
            "e": (np.int64(1), None),
            3: "z",
        }
    )
    assert torch.equal(plain.pop("b"), torch.arange(3))
    assert plain == {"f": "red", "a": 0.5, "c": [1, 2], "d": "x", "e": (1, None), 3: "z"}
    assert to_primitives({"keep": 1, "leave": object()}, drop=True) == {"keep": 1}


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_truncated(tmp_path, share, legacy):
    path = tmp_path / "a.pth"
    torch.save(content(), path, _use_new_zipfile_serialization=not legacy)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"a\.pth is (damaged or )?truncated"):
        load_checkpoint(path)


def test_one_byte_short(tmp_path):
    path = save_checkpoint(content(), tmp_path / "a.pth")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="truncated"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"just a text\n", "is not a checkpoint"),
        (b"\x00\x01\x02\x03" * 100, "is not a checkpoint"),
        (os.urandom(5000), "is not a checkpoint"),
        (b"GIF89a" + bytes(200), "is not a checkpoint"),
        (pickle.dumps([1, 2, 3]), "is not a checkpoint"),
        (pickle.dumps({"a": 1}, protocol=2), "is not a checkpoint"),
    ],
    ids=["empty", "text", "bytes", "random", "image", "pickle", "pickle2"],
)
def test_not_a_checkpoint(tmp_path, data, reason):
    path = tmp_path / "some_random_file.pth"
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"some_random_file\.pth {reason}"):
        load_checkpoint(path)


def test_other_archives_and_contents(tmp_path):
    other = tmp_path / "data.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match="zip archive of something else"):
        load_checkpoint(other)
    script = tmp_path / "program.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), script)
    with pytest.raises(UserError, match="TorchScript"):
        load_checkpoint(script)
    tensor = tmp_path / "tensor.pth"
    torch.save(torch.zeros(2), tensor)
    with pytest.raises(UserError, match="holds a Tensor"):
        load_checkpoint(tensor)
    with pytest.raises(UserError, match="does not exist"):
        load_checkpoint(tmp_path / "nothing.pth")
    with pytest.raises(UserError, match="is a folder"):
        load_checkpoint(tmp_path)


class Marker:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, call, *args) -> None:
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", ["system", "exec", "open", "mkdir"])
def test_pickled_code_is_never_executed(tmp_path, kind, legacy):
    marker = tmp_path / "marker"
    payload = {
        "system": Marker(os.system, f"touch {marker}"),
        "exec": Marker(exec, f"open({str(marker)!r}, 'w')"),
        "open": Marker(open, str(marker), "w"),
        "mkdir": Marker(os.mkdir, str(marker)),
    }[kind]
    path = tmp_path / "bad.pth"
    torch.save({"state_dict": {"w": torch.zeros(1)}, "meta": payload}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError, match=r"bad\.pth contains pickled code \(\S+\), which is never executed"):
        load_checkpoint(path)
    assert not marker.exists()


def test_a_bare_malicious_pickle(tmp_path):
    marker = tmp_path / "marker"
    path = tmp_path / "bad.pth"
    path.write_bytes(pickle.dumps(Marker(os.system, f"touch {marker}"), protocol=2))
    with pytest.raises(UserError):
        load_checkpoint(path)
    assert not marker.exists()


def test_getattr_is_inert(tmp_path):
    """HistoryBuffer's pickles name getattr. One that would reach a method by it gets None, which cannot be called."""
    pickled = b"\x80\x02c__builtin__\ngetattr\ncargparse\nNamespace\nX\x07\x00\x00\x00__new__\x86R)R."
    path = tmp_path / "bad.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    with pytest.raises(UserError):
        load_checkpoint(path)


def _pretend(monkeypatch, module: str, name: str, base: type = object) -> type:
    """Make a class that pickles under a foreign name, and take it away again with the test."""
    made = types.ModuleType(module)
    cls = type(name, (base,), {"__module__": module})
    setattr(made, name, cls)
    monkeypatch.setitem(sys.modules, module.rpartition(".")[0], types.ModuleType("parent"))
    monkeypatch.setitem(sys.modules, module, made)
    return cls


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_harmless_classes_of_others_become_primitives(tmp_path, monkeypatch, legacy):
    node = _pretend(monkeypatch, "yacs.config", "CfgNode", dict)
    cfg = node(MODEL=node(TYPE="vit"), LR=0.1)
    cfg.__dict__["__immutable__"] = True
    cfg["MODEL"].__dict__["__immutable__"] = True
    foreign = {
        "model": OrderedDict(w=torch.arange(3.0)),
        "args": argparse.Namespace(lr=0.1, nested=argparse.Namespace(a=[1, 2])),
        "config": cfg,
        "epoch": np.int64(7),
        "best": np.float64(0.75),
        "curve": np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32),
        "order": np.asfortranarray(np.arange(6).reshape(2, 3)),
    }
    path = tmp_path / "foreign.pth"
    torch.save(foreign, path, _use_new_zipfile_serialization=not legacy)
    monkeypatch.undo()
    allowed = torch.serialization.get_safe_globals()
    loaded = load_checkpoint(path)
    assert torch.equal(loaded["model"]["w"], torch.arange(3.0))
    assert loaded["args"] == {"lr": 0.1, "nested": {"a": [1, 2]}}
    assert loaded["config"] == {"MODEL": {"TYPE": "vit"}, "LR": 0.1}
    assert (loaded["epoch"], loaded["best"]) == (7, 0.75)
    assert torch.equal(loaded["curve"], torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert torch.equal(loaded["order"], torch.arange(6).reshape(2, 3))
    # What comes out is what we write ourselves.
    save_checkpoint(loaded, tmp_path / "again.pth")
    assert set(torch.serialization.get_safe_globals()) == set(allowed)


def test_stock_mmengine_checkpoint(tmp_path):
    hub = MessageHub("stock")
    for value in (1.0, 3.0):
        hub.update_scalar("train/loss", value)
    hub.update_info("iter", 2)
    path = tmp_path / "epoch_1.pth"
    torch.save({"meta": {"epoch": 1, "iter": 2}, "state_dict": {}, "message_hub": hub.state_dict()}, path)
    restored = restore_message_hub(load_checkpoint(path)["message_hub"])
    assert restored["log_scalars"]["train/loss"].mean() == 2.0
    assert restored["runtime_info"] == {"iter": 2}


def test_message_hub_round_trip(tmp_path):
    hub = MessageHub("ours")
    for value in (1, 2.5, 4):
        hub.update_scalar("train/loss", value, count=2)
    hub.update_info("mixpro_bench/load_audit", '{"share": 1.0}')
    hub.update_info("classes", ("a", "b"))
    hub.update_info("unsaved", object())
    path = save_checkpoint({"message_hub": flatten_message_hub(hub.state_dict())}, tmp_path / "a.pth")
    other = MessageHub("other")
    other.load_state_dict(restore_message_hub(load_checkpoint(path)["message_hub"]))
    buffer = other.get_scalar("train/loss")
    assert isinstance(buffer, HistoryBuffer)
    assert [part.tolist() for part in buffer.data] == [[1, 2.5, 4], [2, 2, 2]]
    buffer.update(1.0)
    assert other.get_info("mixpro_bench/load_audit") == '{"share": 1.0}'
    assert other.get_info("classes") == ("a", "b")
    assert "unsaved" not in other.runtime_info


def test_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(2)}, path, metadata={"format": "pt"})
    loaded = load_checkpoint(path)
    assert torch.equal(loaded["state_dict"]["a"], torch.ones(2))
    assert loaded["meta"] == {"format": "pt"}
    unnamed = tmp_path / "model.pth"
    unnamed.write_bytes(path.read_bytes())
    assert "a" in load_checkpoint(unnamed)["state_dict"]
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match="not a readable safetensors file"):
        load_checkpoint(path)


def test_latest_checkpoint(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    (tmp_path / "last_checkpoint").write_text("/moved/away/iter_4.pth")
    assert latest_checkpoint(tmp_path) == Path("/moved/away/iter_4.pth")
    (tmp_path / "iter_4.pth").touch()
    assert latest_checkpoint(tmp_path) == tmp_path / "iter_4.pth"
