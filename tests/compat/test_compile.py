"""A pretraining whose backbone is compiled: the same keys, the same weights, and a resume into an uncompiled run."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
import torch

from mixpro_bench.compat.checkpoint import load_checkpoint
from mixpro_bench.datasets.digits import build_digits
from mixpro_bench.errors import UserError
from mixpro_bench.launch import clear_errors

pytestmark = pytest.mark.mm
TOY = Path(__file__).with_name("toy.py")
BACKBONE = dict(
    type="mixpro_bench.TimmBackbone",
    name="vit_tiny_patch16_224",
    img_size=16,
    patch_size=4,
    embed_dim=16,
    depth=1,
    num_heads=2,
    num_classes=10,
    drop_path_rate=0.1,
)


@pytest.fixture(scope="module")
def toy():
    spec = importlib.util.spec_from_file_location("toy", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return build_digits(tmp_path_factory.mktemp("data"), counts=dict(cls=(40, 20), det=(2, 2), seg=(2, 2))) / "cls"


def pretraining(toy, data, work_dir, **changes):
    cfg = toy.config(
        work_dir,
        default_scope="mixpro_bench",
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            collate_fn=dict(type="default_collate"),
            dataset=dict(
                type="ImageFolder",
                root=str(data),
                split="train",
                transform=dict(type="light", input_size=16, is_training=True),
            ),
            sampler=dict(type="InfiniteSampler", shuffle=True),
        ),
        model=dict(type="MixClassifier", backbone=BACKBONE, policy=dict(preset="transmix")),
        custom_hooks=[dict(type="MixProHook")],
        val_dataloader=None,
        val_cfg=None,
        val_evaluator=None,
        **changes,
    )
    cfg.default_hooks.checkpoint.pop("save_best")
    return cfg


INDUCTOR = [pytest.mark.slow, pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")]


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=INDUCTOR)])
def test_a_compiled_backbone_trains_the_same(toy, data, tmp_path, backend):
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    toy.train(pretraining(toy, data, tmp_path / "plain"))
    assert not counters["stats"]["unique_graphs"]
    toy.train(pretraining(toy, data, tmp_path / "compiled", compile=dict(backend=backend)))
    assert counters["stats"]["unique_graphs"] > 0
    plain, compiled = (load_checkpoint(tmp_path / name / "iter_10.pth")["state_dict"] for name in ("plain", "compiled"))
    assert list(plain) == list(compiled)
    assert "backbone.model.blocks.0.attn.qkv.weight" in plain
    difference = max(float((plain[key] - compiled[key]).abs().max()) for key in plain)
    # Ten steps of Adam at 0.01; inductor draws other random numbers for drop path.
    assert difference < (1e-5 if backend == "eager" else 0.2)
    if backend == "eager":
        cfg = pretraining(toy, data, tmp_path / "compiled", resume=True, resume_changed_config=True)
        cfg.train_cfg.max_iters = 11
        assert toy.train(cfg).iter == 11


def test_what_cannot_be_compiled_is_told_in_a_sentence():
    def broken(graph, inputs):
        raise ValueError("no compiler here")

    told = pytest.raises(UserError, match=r"^torch\.compile failed: leave out compile \(BackendCompilerFailed")
    with told, clear_errors():
        torch.compile(lambda x: x + 1, backend=broken)(torch.ones(2))
