"""Real trainings of a toy: what is saved, how it resumes, what is logged, on one process and on two."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mixpro_bench.compat.checkpoint import load_checkpoint, save_checkpoint
from mixpro_bench.errors import UserError

pytestmark = pytest.mark.mm
TOY = Path(__file__).with_name("toy.py")


@pytest.fixture(scope="module")
def toy():
    spec = importlib.util.spec_from_file_location("toy", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    """One uninterrupted run, for others to be compared with."""
    return toy.train(toy.config(tmp_path_factory.mktemp("finished")))


def test_checkpoint_is_plain_and_says_what_was_run(finished):
    path = Path(finished.work_dir) / "iter_10.pth"
    loaded = torch.load(path, weights_only=True)
    assert set(loaded) == {"meta", "state_dict", "message_hub", "optimizer", "param_schedulers"}
    facts = loaded["meta"]["mixpro_bench"]
    assert facts["method"] == "m"
    assert facts["seed"] == 0
    assert len(facts["config_sha256"]) == 64
    assert loaded["meta"]["iter"] == 10
    assert loaded["meta"]["dataset_meta"] == {"classes": ("a", "b")}


def test_only_the_last_and_the_best_checkpoint_are_left(finished):
    kept = sorted(path.name for path in Path(finished.work_dir).glob("*.pth"))
    assert kept[1:] == ["iter_10.pth"]
    assert kept[0].startswith("best_toy_acc_iter_")
    best = finished.message_hub.get_info("best_score")
    assert best == max(finished.message_hub.get_scalar("val/toy/acc").data[0])


def test_resuming_elsewhere_leaves_the_first_work_dir_alone(toy, finished, tmp_path):
    before = sorted(path.name for path in Path(finished.work_dir).glob("*.pth"))
    cfg = toy.config(tmp_path, resume=True, load_from=str(Path(finished.work_dir) / "iter_10.pth"))
    cfg.train_cfg.max_iters = 14
    cfg.val_evaluator = dict(type="ToyAccuracy", bonus=1.0)
    cfg.resume_changed_config = True
    toy.train(cfg)
    assert sorted(path.name for path in Path(finished.work_dir).glob("*.pth")) == before
    assert [path.name for path in tmp_path.glob("best*")]


def test_averaged_weights_resume(toy, tmp_path):
    """mmengine's EMAHook exchanges the weights in the checkpoint; both kinds must come back."""
    ema = dict(type="EMAHook", momentum=0.5)
    whole = toy.train(toy.config(tmp_path / "whole", custom_hooks=[ema]))
    with pytest.raises(InterruptedError):
        toy.train(toy.config(tmp_path / "cut", custom_hooks=[ema]), stop=7)
    resumed = toy.train(toy.config(tmp_path / "cut", custom_hooks=[ema], resume=True))
    assert toy.fingerprint(resumed.model) == toy.fingerprint(whole.model)
    first, second = (load_checkpoint(tmp_path / name / "iter_10.pth") for name in ("whole", "cut"))
    for part in ("state_dict", "ema_state_dict"):
        assert all(torch.equal(value, second[part][key]) for key, value in first[part].items())


@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_is_bit_for_bit_the_same(toy, finished, tmp_path, workers):
    cfg = toy.config(tmp_path)
    cfg.train_dataloader.num_workers = workers
    with pytest.raises(InterruptedError):
        toy.train(cfg, stop=7)
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "iter_6.pth")
    cfg.resume = True
    toy.ToyData.reads = 0
    resumed = toy.train(cfg)
    assert toy.fingerprint(resumed.model) == toy.fingerprint(finished.model)
    for key in ("train/loss", "train/hit", "train/grad_norm", "train/lr", "val/toy/acc"):
        ours, theirs = (runner.message_hub.get_scalar(key).data for runner in (resumed, finished))
        assert ours[0].tolist() == theirs[0].tolist(), key
    if workers == 0:
        # Four batches of four and two validations of 20: nothing was read to be skipped.
        assert toy.ToyData.reads == 16 + 40


def test_resuming_initialises_no_weights(toy, finished, tmp_path, capsys):
    path = Path(finished.work_dir) / "iter_10.pth"
    toy.train(toy.config(tmp_path, resume=True, load_from=str(path)))
    assert "weights initialised" not in capsys.readouterr().out
    toy.train(toy.config(tmp_path / "other", resume=True))
    assert "weights initialised" in capsys.readouterr().out


def test_resuming_from_what_does_not_fit(toy, finished, tmp_path):
    path = Path(finished.work_dir) / "iter_10.pth"
    changed = dict(model=dict(type="ToyClassifier", width=9), resume_changed_config=True)
    with pytest.raises(UserError, match="does not fit the model of this config"):
        toy.train(toy.config(tmp_path, resume=True, load_from=str(path), **changed))
    weights = save_checkpoint({"state_dict": finished.model.state_dict()}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="no state of a run"):
        toy.train(toy.config(tmp_path, resume=True, load_from=str(weights)))


def test_another_config_is_refused_before_anything_is_written(toy, finished, tmp_path):
    shutil.copytree(finished.work_dir, tmp_path / "run")
    (tmp_path / "run" / "last_checkpoint").write_text(str(tmp_path / "run" / "iter_10.pth"))
    before = sorted(tmp_path.rglob("*"))
    cfg = toy.config(tmp_path / "run", resume=True)
    cfg.train_cfg.max_iters = 14
    cfg.optim_wrapper.optimizer.lr = 0.02
    named = r"iter_10\.pth was written under another config: it differs in optim_wrapper\.optimizer\.lr \(0\.01, "
    with pytest.raises(UserError, match=named + r"now 0\.02\), train_cfg\.max_iters \(10, now 14\); give another"):
        toy.train(cfg)
    assert sorted(tmp_path.rglob("*")) == before
    cfg.resume_changed_config = True
    assert toy.train(cfg).iter == 14


def test_what_does_not_change_results_may_change(toy, finished, tmp_path):
    cfg = toy.config(tmp_path, resume=True, load_from=str(Path(finished.work_dir) / "iter_10.pth"))
    cfg.train_dataloader.num_workers = 1
    cfg.default_hooks.logger.interval = 7
    cfg.default_hooks.checkpoint.interval = 5
    cfg.log_level = "ERROR"
    assert toy.train(cfg).iter == 10


def test_loading_initial_weights(toy, finished, tmp_path):
    weights = save_checkpoint({"state_dict": finished.model.state_dict()}, tmp_path / "weights.pth")
    cfg = toy.config(tmp_path, load_from=str(weights), train_cfg=dict(by_epoch=False, max_iters=1, val_interval=9))
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.optim_wrapper.optimizer.weight_decay = 0.0
    assert toy.fingerprint(toy.train(cfg).model) == toy.fingerprint(finished.model)


def test_older_checkpoint_goes_after_the_newer_is_written(toy, tmp_path, monkeypatch):
    cfg = toy.config(tmp_path)
    seen = []

    def spying(checkpoint, path):
        seen.append(sorted(p.name for p in Path(path).parent.glob("*.pth")))
        return save_checkpoint(checkpoint, path)

    monkeypatch.setattr("mixpro_bench.compat.runner.save_checkpoint", spying)
    toy.train(cfg)
    # Whenever one is written, an older last one is there, but for the first time.
    assert all(any(name.startswith("iter_") for name in names) for names in seen[1:])


def test_scalars_are_averaged_as_mmengine_does(toy, tmp_path):
    """The same histories as with mmengine's own hook, and the same numbers in the log."""
    from mmengine.hooks import RuntimeInfoHook

    stock_hook = RuntimeInfoHook()
    logs = []
    for name, hook in (("ours", dict(type="RuntimeInfoHook")), ("stock", stock_hook)):
        cfg = toy.config(tmp_path / name)
        cfg.optim_wrapper.pop("clip_grad")
        runner_cfg = dict(cfg)
        runner_cfg["default_hooks"] = {**cfg.default_hooks, "runtime_info": hook}
        from mixpro_bench.compat.runner import Runner

        runner_cfg.pop("runner_type")
        runner_cfg.pop("bench")
        runner = Runner(**runner_cfg, cfg=cfg)
        runner.train()
        scalars = next(Path(runner.log_dir).glob("vis_data/scalars.json"))
        lines = [json.loads(line) for line in scalars.read_text().splitlines()]
        logs.append([{k: v for k, v in line.items() if k in ("loss", "hit", "lr", "iter", "step")} for line in lines])
    assert logs[0] == logs[1]
    assert [line["iter"] for line in logs[0] if "loss" in line] == [3, 6, 9]


@pytest.mark.parametrize("interval", [1, 4, 100])
def test_flushing_keeps_every_value(toy, finished, tmp_path, interval):
    cfg = toy.config(tmp_path)
    cfg.default_hooks.logger.interval = interval
    runner = toy.train(cfg)
    for key in ("train/loss", "train/hit", "train/grad_norm"):
        ours, theirs = (one.message_hub.get_scalar(key).data for one in (runner, finished))
        assert len(ours[0]) == 10
        assert ours[0].tolist() == theirs[0].tolist()


def test_epochs(toy, tmp_path):
    """An epoch-based run: logs and checkpoints count epochs without being told, and resume at an epoch."""
    changes = dict(
        train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=1),
        param_scheduler=[dict(type="CosineAnnealingLR", T_max=3, by_epoch=True, convert_to_iter_based=True)],
    )
    cfg = toy.config(tmp_path / "whole", **changes)
    cfg.train_dataloader.sampler.type = "DefaultSampler"
    cfg.default_hooks.checkpoint.interval = 1
    whole = toy.train(cfg)
    assert (tmp_path / "whole" / "epoch_3.pth").exists()
    cfg.work_dir = str(tmp_path / "cut")
    with pytest.raises(InterruptedError):
        toy.train(cfg, stop=7)
    cfg.resume = True
    resumed = toy.train(cfg)
    assert load_checkpoint(tmp_path / "cut" / "epoch_3.pth")["meta"]["epoch"] == 3
    assert toy.fingerprint(resumed.model) == toy.fingerprint(whole.model)


@pytest.mark.parametrize(("after", "saved", "validations"), [(9, 8, 2), (10, 10, 2), (11, 10, 1)])
def test_resuming_within_an_epoch(toy, tmp_path, after, saved, validations):
    """Epochs of five steps with a checkpoint every second step: that of step 10 lies between an epoch's end and its
    validation, which writes it again."""
    changes = dict(
        train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=1),
        param_scheduler=[dict(type="MultiStepLR", milestones=[1, 2], by_epoch=True)],
    )
    cfg = toy.config(tmp_path / "whole", **changes)
    cfg.train_dataloader.sampler.type = "DefaultSampler"
    cfg.default_hooks.checkpoint.by_epoch = False
    whole = toy.train(cfg)
    cfg.work_dir = str(tmp_path / "cut")
    with pytest.raises(InterruptedError):
        toy.train(cfg, stop=after)
    assert load_checkpoint((tmp_path / "cut" / "last_checkpoint").read_text())["meta"]["iter"] == saved
    cfg.resume = True
    toy.ToyData.reads = 0
    resumed = toy.train(cfg)
    assert toy.fingerprint(resumed.model) == toy.fingerprint(whole.model)
    assert toy.ToyData.reads == 4 * (15 - saved) + 20 * validations
    for key in ("train/loss", "train/lr", "val/toy/acc"):
        ours, theirs = (runner.message_hub.get_scalar(key).data for runner in (resumed, whole))
        assert ours[0].tolist() == theirs[0].tolist(), key


def test_bfloat16_on_the_cpu(toy, tmp_path):
    cfg = toy.config(tmp_path)
    cfg.optim_wrapper.type = "AmpOptimWrapper"
    seen = []
    runner_cfg = toy.RUNNERS.build(cfg)
    runner_cfg.model.layers[0].register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    runner_cfg.train()
    assert torch.bfloat16 in seen
    assert all(parameter.dtype == torch.float32 for parameter in runner_cfg.model.parameters())
    assert runner_cfg.optim_wrapper.loss_scaler.get_scale() == 1.0
    cfg.resume = True
    toy.train(cfg)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (dict(dtype="float16"), "the CPU cannot train in"),
        (dict(dtype="half"), "use 'bfloat16' or 'float16'"),
        (dict(loss_scale="static"), "use 'dynamic', a number, or a dict"),
    ],
)
def test_amp_that_cannot_be(options, reason):
    from mixpro_bench.compat.amp import AmpOptimWrapper

    if torch.cuda.is_available() and options.get("dtype") == "float16":
        pytest.skip("a GPU can")
    with pytest.raises(UserError, match=reason):
        AmpOptimWrapper(torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1), **options)


def test_skipping_in_a_batch_sampler():
    from mixpro_bench.compat.loops import SkippingBatches

    batches = SkippingBatches(torch.utils.data.BatchSampler(range(10), batch_size=3, drop_last=False))
    batches.skip(2)
    assert list(batches) == [[6, 7, 8], [9]]
    assert len(list(batches)) == len(batches) == 4
    assert batches.batch_size == 3


@pytest.mark.slow
def test_two_processes_without_a_gpu(toy, tmp_path):
    """Two processes with half the batch each see the data of one, end with equal weights, and resume."""
    torchrun = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    loader = toy.config(tmp_path).train_dataloader.to_dict()
    loader["batch_size"] = 2
    changes = dict(launcher="pytorch", train_dataloader=loader, model=dict(type="ToyClassifier"))

    def run(work_dir: Path, **more) -> dict:
        words = [str(TOY), str(work_dir), json.dumps({**changes, **more})]
        done = subprocess.run([*torchrun, *words], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return load_checkpoint(work_dir / "iter_10.pth")

    whole = run(tmp_path / "whole")
    words = [str(TOY), str(tmp_path / "cut"), json.dumps(changes), "7"]
    assert subprocess.run([*torchrun, *words], env=environment, capture_output=True).returncode != 0
    resumed = run(tmp_path / "cut", resume=True)
    assert all(torch.equal(value, resumed["state_dict"][key]) for key, value in whole["state_dict"].items())
