"""RecordHook and ProgressHook in a real training of a toy model."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.registry import RUNNERS
from torch import nn

from mixpro_bench import compat
from mixpro_bench.errors import UserError
from mixpro_bench.hooks import ProgressHook, RecordHook
from mixpro_bench.hooks import provenance as provenance_module
from mixpro_bench.hooks.provenance import LOAD_AUDIT_KEY, code_version, device_name
from mixpro_bench.leaderboard import read_record

pytestmark = pytest.mark.mm

BENCH = {"task": "pretrain", "method": "mixpro", "preset": "mixpro", "backbone": "toy", "protocol": "toy", "version": 2}
AUDIT = {
    "checkpoint": "/somewhere/epoch_1.pth",
    "sha256": "ab" * 32,
    "weights": "raw",
    "matched": 4,
    "total": 5,
    "matched_elements": 40,
    "total_elements": 50,
    "missing": ["backbone.norm.weight"],
    "unexpected": [],
    "dropped": 2,
    "resized": [],
    "share": 0.8,
    "upstream": {"method": "cutmix", "preset": "cutmix", "backbone": "toy-up", "seed": 7, "task": "pretrain"},
}


class Toy(BaseModel):
    """A linear layer that learns nothing in particular."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, inputs, target, mode="tensor"):
        out, target = self.linear(torch.stack(list(inputs))), torch.stack(list(target))
        return {"loss": (out[:, 0] - target).square().mean()} if mode == "loss" else [out]


class Trusting(Toy):
    """Tells a factor in every third step, as a policy of several branches does."""

    def forward(self, inputs, target, mode="tensor"):
        out = super().forward(inputs, target, mode)
        if mode == "loss" and MessageHub.get_current_instance().get_info("iter") % 3 == 1:
            out["mix/factor"] = out["loss"].detach() / 2
        return out


class Numbers(Evaluator):
    """Says fixed numbers, and how often it was asked."""

    def __init__(self, **values) -> None:
        super().__init__([])
        self.values, self.calls = values, 0

    def process(self, data_samples, data_batch=None) -> None:
        pass

    def evaluate(self, size):
        self.calls += 1
        return {"calls": torch.tensor(float(self.calls)), "copypaste": "0.1 0.2", **self.values}


class StopAt(Hook):
    """Ends the process's training as a crash would."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter + 1 == self.iteration:
            raise RuntimeError("stopped by the test")


def samples(count: int):
    return [{"inputs": torch.full((2,), float(i)), "target": torch.tensor(float(i))} for i in range(count)]


def train(
    work_dir: Path,
    *,
    bench=BENCH,
    hooks=(),
    evaluator=None,
    iters=6,
    val_interval=4,
    train_cfg=None,
    infinite=True,
    audit=None,
    model=Toy,
    **options,
):
    compat.install()
    loader = {"dataset": samples(8), "batch_size": 4, "num_workers": 0}
    name = f"{work_dir.name}-{len(MessageHub._instance_dict)}"  # a message hub of its own
    sampler = "InfiniteSampler" if infinite else "DefaultSampler"
    cfg = Config({"bench": bench, "runner_type": "mixpro_bench.Runner"} if bench else {})
    runner = RUNNERS.get("mixpro_bench.Runner")(
        model=model(),
        work_dir=str(work_dir),
        train_dataloader=dict(loader, sampler={"type": sampler, "shuffle": True}),
        train_cfg=train_cfg or {"type": "IterBasedTrainLoop", "max_iters": iters, "val_interval": val_interval},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01}},
        val_dataloader=dict(loader, sampler={"type": "DefaultSampler", "shuffle": False}),
        val_cfg={},
        val_evaluator=evaluator or Numbers(top1=90.0),
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 2, "by_epoch": False}},
        custom_hooks=[ProgressHook(min_seconds=0.0), RecordHook(), *hooks],
        randomness={"seed": 3},
        default_scope="mixpro_bench",
        experiment_name=name,
        cfg=cfg,
        **options,
    )
    if audit:
        runner.message_hub.update_info(LOAD_AUDIT_KEY, json.dumps(audit))
    runner.train()
    return runner


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is a GPU")
def test_a_processor_is_named_with_its_instructions():
    name = device_name()
    assert re.fullmatch(r"cpu \(.+, .+, \d+ threads\)", name)
    assert torch.backends.cpu.get_cpu_capability() in name


def assert_images_trained(cost, images):
    """The rate is that of all images; the time of so short a run is mostly its rounding to a millisecond."""
    assert images / cost.images_per_s == pytest.approx(cost.train_s, abs=0.00051)


def test_a_pretraining_leaves_one_record(tmp_path):
    train(tmp_path)
    record = read_record(tmp_path / "record.json")
    assert (record.stage, record.method.name, record.backbone) == ("pretrain", "mixpro", "toy")
    assert (record.protocol.name, record.protocol.version) == ("toy", 2)
    assert (record.seed, record.pretrain_seed) == (3, 3)
    assert record.metrics == {"top1": 90.0, "calls": 2.0}, "of the last validation, numbers only"
    assert record.provenance.load_audit is None
    checkpoint = Path(record.provenance.checkpoint)
    assert checkpoint == tmp_path / "iter_6.pth"
    assert record.provenance.checkpoint_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert record.provenance.packages["torch"] == torch.__version__
    assert len(record.recipe_hash) == len(record.provenance.config_sha256) == 64
    cost = record.cost
    assert 0 < cost.train_s <= cost.wall_s
    assert_images_trained(cost, 24)
    assert cost.peak_memory_mb > 10


def test_a_transfer_is_of_the_method_that_its_checkpoint_tells(tmp_path):
    train(tmp_path, bench=BENCH | {"task": "det"}, audit=AUDIT)
    record = read_record(tmp_path / "record.json")
    assert (record.stage, record.method.name, record.method.preset) == ("det", "cutmix", "cutmix")
    assert (record.pretrain_seed, record.seed, record.backbone) == (7, 3, "toy-up")
    assert record.provenance.upstream_sha256 == AUDIT["sha256"]
    audit = record.provenance.load_audit
    assert (audit.matched, audit.missing, audit.unexpected, audit.total, audit.share) == (4, 1, 0, 5, 0.8)
    assert not audit.complete
    assert audit.missing_names == ["backbone.norm.weight"]
    assert record.upstream["method"] == "cutmix"


def test_foreign_weights_are_named_by_their_file(tmp_path):
    train(tmp_path, bench=BENCH | {"task": "seg", "method": None}, audit=AUDIT | {"upstream": {}})
    record = read_record(tmp_path / "record.json")
    assert (record.method.name, record.pretrain_seed) == ("epoch_1", None)


def test_a_transfer_without_weights_is_from_scratch(tmp_path):
    train(tmp_path, bench=BENCH | {"task": "det"})
    record = read_record(tmp_path / "record.json")
    assert (record.method.name, record.pretrain_seed) == ("scratch", None)


def test_a_record_names_the_network_that_taught(tmp_path):
    from mixpro_bench.labeling.network import Teacher

    path = tmp_path / "teacher.pth"
    sizes = dict(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2)
    torch.save(timm.create_model("vit_tiny_patch16_224", num_classes=5, **sizes).state_dict(), path)
    runner = train(tmp_path / "run")
    hook = next(hook for hook in runner.hooks if isinstance(hook, RecordHook))
    assert hook.build(runner).provenance.teachers == {}
    runner.model.teacher = Teacher("vit_tiny_patch16_224", str(path), **sizes)
    assert hook.build(runner).provenance.teachers == {"vit_tiny_patch16_224": runner.model.teacher.sha256()}


def test_a_resumed_run_reports_all_its_sessions(tmp_path):
    with pytest.raises(RuntimeError, match="stopped by the test"):
        train(tmp_path, hooks=[StopAt(5)])
    assert not (tmp_path / "record.json").exists()
    assert json.loads((tmp_path / "progress.json").read_text())["stage"] != "done"
    train(tmp_path, resume=True)
    record = read_record(tmp_path / "record.json")
    # Iterations 1-4 of the first session are in the checkpoint, the fifth was lost.
    assert_images_trained(record.cost, 24)


def test_a_run_that_was_stopped_after_its_last_checkpoint_still_gets_metrics(tmp_path):
    train(tmp_path, iters=4)
    (tmp_path / "record.json").unlink()
    numbers = Numbers(top1=91.0)
    train(tmp_path, iters=4, resume=True, evaluator=numbers)
    assert numbers.calls == 1
    assert read_record(tmp_path / "record.json").metrics["top1"] == 91.0


def test_metrics_that_are_not_finite_are_left_out_and_named(tmp_path):
    train(tmp_path, evaluator=Numbers(top1=float("nan"), top5=99.0))
    record = read_record(tmp_path / "record.json")
    assert record.metrics == {"top5": 99.0, "calls": 2.0}
    assert record.not_finite == ["top1"]


class Rising(Numbers):
    """The metric of each validation is another one, and the best is the first."""

    def evaluate(self, size):
        return {"top1": 100.0 - MessageHub.get_current_instance().get_info("iter"), "top5": float("nan")}


def test_curves_and_best_validation(tmp_path):
    runner = train(tmp_path, evaluator=Rising(), model=Trusting)
    record = read_record(tmp_path / "record.json")
    series = {name: (curve.axis, curve.at, curve.values) for name, curve in record.series.items()}
    losses = runner.message_hub.get_scalar("train/loss").data[0]
    assert series["loss"] == ("iter", [1, 2, 3, 4, 5, 6], pytest.approx(losses, rel=1e-6))
    assert series["lr"] == ("iter", [1, 2, 3, 4, 5, 6], [0.01] * 6)
    assert series["factor"] == ("iter", [2, 5], pytest.approx([losses[1] / 2, losses[4] / 2], rel=1e-6))
    top1 = series["top1"][2]
    assert series["top1"][:2] == ("iter", [4, 6])
    assert series["top5"] == ("iter", [4, 6], [None, None])
    assert (record.best.metric, record.best.value, record.best.at) == ("top1", top1[0], 4)
    assert record.metrics["top1"] == top1[1] < top1[0], "the metrics stay those of the last checkpoint"
    assert record.model.parameters == 3
    assert (record.model.macs, record.data_check, record.predictions) == (None, None, None)


def test_a_killed_run_that_resumes_has_the_curves_of_one_that_was_not(tmp_path):
    train(tmp_path / "whole", evaluator=Rising(), model=Trusting)
    # Iteration 4 is in a checkpoint, its validation is not; iteration 5 is lost.
    with pytest.raises(RuntimeError, match="stopped by the test"):
        train(tmp_path / "killed", evaluator=Rising(), model=Trusting, hooks=[StopAt(5)])
    train(tmp_path / "killed", evaluator=Rising(), model=Trusting, resume=True)
    whole, killed = (read_record(tmp_path / name / "record.json") for name in ("whole", "killed"))
    assert killed.series == whole.series
    assert killed.best == whole.best


def test_a_run_that_begins_anew_forgets_the_validations_of_before(tmp_path):
    train(tmp_path, evaluator=Rising())
    train(tmp_path, evaluator=Rising(), iters=2)
    assert read_record(tmp_path / "record.json").series["top1"].at == [2]
    # Somebody else's are left alone too, though they would fit by their place.
    other = json.loads((tmp_path / "validations.json").read_text())
    other["run"]["seed"] = 8
    other["validations"][0]["iter"] = 1
    (tmp_path / "validations.json").write_text(json.dumps(other))
    train(tmp_path, evaluator=Rising(), iters=2, resume=True)
    assert read_record(tmp_path / "record.json").series["top1"].at == [2]


@pytest.mark.parametrize(("bench", "lacking"), [(None, "task, backbone"), ({"task": "pretrain"}, "backbone, protocol")])
def test_a_config_without_bench_is_refused_before_training(tmp_path, bench, lacking):
    with pytest.raises(UserError, match=f"`bench` lacks {lacking}"):
        train(tmp_path, bench=bench)
    assert not list(tmp_path.glob("*.pth"))


class Spy(Hook):
    """Collects what the progress file says."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.seen = []

    def look(self, runner) -> None:
        self.seen.append(json.loads(Path(runner.work_dir, "progress.json").read_text()))

    def before_train(self, runner) -> None:
        self.look(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.look(runner)

    def before_val(self, runner) -> None:
        self.look(runner)

    def after_run(self, runner) -> None:
        self.look(runner)


def test_progress_follows_the_run(tmp_path):
    spy = Spy()
    train(tmp_path, hooks=[spy], iters=4, val_interval=2)
    assert [(one["stage"], one["iter"]) for one in spy.seen] == [
        ("train", 0), ("train", 1), ("train", 2), ("val", 2), ("train", 3), ("train", 4), ("val", 4), ("done", 4),
    ]  # fmt: skip
    assert all(one["max_iters"] == 4 for one in spy.seen)
    assert spy.seen[0]["eta_s"] is None
    assert spy.seen[1]["eta_s"] > 0
    assert spy.seen[-1]["eta_s"] == 0.0
    assert (spy.seen[0]["loss"], spy.seen[0]["epoch"]) == (None, None)
    assert spy.seen[-1]["loss"] > 0


class Diverged(Toy):
    """Its loss is no number."""

    def forward(self, inputs, target, mode="tensor"):
        out = super().forward(inputs, target, mode)
        return {"loss": out["loss"] * float("nan")} if mode == "loss" else out


def test_progress_and_curves_of_a_run_of_epochs(tmp_path):
    spy = Spy()
    loop = {"type": "EpochBasedTrainLoop", "max_epochs": 2, "val_interval": 1}
    train(tmp_path, hooks=[spy], train_cfg=loop, infinite=False, model=Diverged)
    assert [(one["stage"], one["epoch"]) for one in spy.seen] == [
        ("train", 0), ("train", 0), ("train", 0), ("val", 1), ("train", 1), ("train", 1), ("val", 2), ("done", 2),
    ]  # fmt: skip
    assert {one["max_epochs"] for one in spy.seen} == {2}
    assert spy.seen[-1]["loss"] == "nan"
    series = read_record(tmp_path / "record.json").series
    assert (series["top1"].axis, series["top1"].at) == ("epoch", [1, 2])
    assert (series["loss"].axis, series["loss"].values) == ("iter", [None] * 4)


def test_progress_is_not_written_in_every_iteration(tmp_path, monkeypatch):
    from mixpro_bench.hooks import progress

    stages = []
    write = progress.write_text_atomic
    monkeypatch.setattr(
        progress, "write_text_atomic", lambda p, t, **k: (stages.append(json.loads(t)["stage"]), write(p, t, **k))
    )
    hook = ProgressHook(min_seconds=60.0)

    class OneRunner:
        work_dir, iter, max_iters = str(tmp_path), 0, 100
        _train_loop, message_hub = None, MessageHub("a run without a loss")

    hook.before_train(OneRunner)
    for OneRunner.iter in range(100):
        hook.after_train_iter(OneRunner, 0)
    hook.after_run(OneRunner)
    assert stages == ["train", "done"]


def test_the_commit_is_the_packages_own(tmp_path, monkeypatch):
    """A copy of the package inside some other project's checkout does not report that project's commit."""
    import mixpro_bench

    package = tmp_path / "site-packages/mixpro_bench"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(provenance_module.mixpro_bench, "__file__", str(package / "__init__.py"))

    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    assert code_version() == (f"v{mixpro_bench.__version__}", False)
    git("add", ".")
    git("commit", "-q", "-m", "second")
    commit, dirty = code_version()
    assert len(commit) == 40
    assert not dirty
    (tmp_path / "unrelated").touch()
    assert not code_version()[1]
    (package / "new.py").touch()
    assert code_version()[1]
