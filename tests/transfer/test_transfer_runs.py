"""Mask R-CNN and UperNet from a pretraining checkpoint, through the command line and mmengine's Runner."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
import torch

from mixpro_bench.cli.main import main
from mixpro_bench.compat.checkpoint import load_checkpoint, save_checkpoint
from mixpro_bench.datasets.digits import build_digits

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "det": ROOT / "configs/transfer/det/mask-rcnn_vit-digits_digits.py",
    "seg": ROOT / "configs/transfer/seg/upernet_vit-digits_digits.py",
}
METRICS = {
    "det": ["coco/bbox_mAP", "coco/bbox_mAP_50", "coco/bbox_mAP_75", "coco/segm_mAP", "coco/segm_mAP_50"],
    "seg": ["mIoU", "mAcc", "aAcc"],
}
SMALL = [
    "train_cfg.max_iters=2",
    "train_cfg.val_interval=2",
    "train_dataloader.batch_size=2",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
]
pytestmark = pytest.mark.mm


@pytest.fixture(scope="module")
def _data(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    made = build_digits(root, counts=dict(cls=(2, 2), det=(6, 3), seg=(6, 3)))
    (root / "v1-seed0").symlink_to(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPRO_DIGITS", str(root))
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Write what a pretraining of the digits' ViT would leave; returns the path and the tensors."""
    from mixpro_bench.config import load_config
    from mixpro_bench.registry import MODELS

    torch.manual_seed(1)
    backbone = MODELS.build({**load_config(CONFIGS["det"]).backbone, "num_classes": 10})
    state = {f"backbone.{name}": value.clone() for name, value in backbone.state_dict().items()}
    told = dict(task="pretrain", method="cutmix", preset="cutmix", backbone="vit_digits", seed=7)
    path = tmp_path_factory.mktemp("upstream") / "up.pth"
    return save_checkpoint(dict(meta=dict(mixpro_bench=told), state_dict=state), path), state


@pytest.mark.parametrize("task", ["det", "seg"])
@pytest.mark.usefixtures("_data")
def test_step_and_prediction(task, source):
    """One loss, gradients down to the first layer, one prediction; the weights are those of the checkpoint."""
    from mmengine.registry import DATASETS, MODELS, init_default_scope

    from mixpro_bench.config import load_config

    path, state = source
    cfg = load_config(CONFIGS[task])
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg.checkpoint = str(path)
    model = MODELS.build(cfg.model)
    model.init_weights()
    for name, value in model.state_dict().items():
        if name.startswith("backbone."):
            assert torch.equal(value, state[name]), name
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    samples = [dataset[i] for i in range(2)]
    batch = {key: [sample[key] for sample in samples] for key in samples[0]}
    data = model.data_preprocessor(batch, training=True)
    loss, _ = model.parse_losses(model(**data, mode="loss"))
    loss.backward()
    assert torch.isfinite(loss)
    unused = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert unused == []  # DDP would stop
    assert float(model.backbone.model.patch_embed.proj.weight.grad.abs().sum()) > 0
    model.eval()
    with torch.no_grad():
        results = model(**model.data_preprocessor(batch, training=False), mode="predict")
    if task == "det":
        assert results[0].pred_instances.masks.shape[-2:] == results[0].ori_shape[:2]
    else:
        assert results[0].pred_sem_seg.shape == results[0].ori_shape[:2]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["det", "seg"])
@pytest.mark.usefixtures("_data")
def test_transfer_leaves_a_record_and_resumes_without_its_source(task, source, tmp_path):
    path = tmp_path / "up.pth"
    path.write_bytes(source[0].read_bytes())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    command = ["transfer", str(CONFIGS[task]), str(path), "--work-dir", str(tmp_path / "run"), "--cfg-options", *SMALL]
    assert main(command) == 0
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["provenance"]["load_audit"]["share"] == 1.0
    assert record["provenance"]["upstream_sha256"] == digest
    assert (record["method"]["name"], record["pretrain_seed"]) == ("cutmix", 7)
    assert all(name in record["metrics"] for name in METRICS[task])

    path.unlink()
    longer = [word.replace("max_iters=2", "max_iters=3") for word in command]
    assert main([*longer, "default_hooks.logger.interval=1", "--resume", "--resume-changed-config"]) == 0
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["provenance"]["load_audit"]["share"] == 1.0
    assert record["provenance"]["upstream_sha256"] == digest
    last = load_checkpoint((tmp_path / "run/last_checkpoint").read_text())
    assert last["meta"]["iter"] == 3


@pytest.mark.slow
@pytest.mark.usefixtures("_data")
def test_from_scratch_is_a_method_of_its_own(tmp_path):
    work = tmp_path / "run"
    command = ["transfer", str(CONFIGS["seg"]), "--from-scratch", "--work-dir", str(work), "--cfg-options", *SMALL]
    assert main(command) == 0
    record = json.loads((work / "record.json").read_text())
    assert record["method"]["name"] == "scratch"
    assert record["provenance"]["load_audit"] is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say --from-scratch"),
        (["absent.pth"], "absent.pth does not exist"),
        (["absent.pth", "--from-scratch"], "choose one"),
    ],
)
def test_refusals_leave_no_work_dir(words, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["transfer", str(CONFIGS["seg"]), *words]) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_check_stops_before_the_training(source, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["transfer", str(CONFIGS["seg"]), str(source[0]), "--check"]) == 0
    assert "tensors (100 %, " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", ["transfer_det.sh", "transfer_seg.sh"])
def test_script_names_the_reason_on_its_last_line(script, tmp_path):
    random = tmp_path / "random.pth"
    random.write_bytes(bytes(range(256)) * 16)
    config = CONFIGS[script.removeprefix("transfer_").removesuffix(".sh")]
    done = subprocess.run(
        ["bash", str(ROOT / "tools" / script), str(config), str(random)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2, done.stdout
    assert f"{random} is not a checkpoint" in done.stdout.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["random.pth"]
