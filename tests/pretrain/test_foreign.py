"""MixProHook in classifiers and configs that are not this package's, under mmengine's own Runner."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn
from torch.utils.data import Dataset, IterableDataset

from mixpro_bench.errors import UserError
from mixpro_bench.mixing import Place
from mixpro_bench.pretrain import MixClassifier, build_policy
from mixpro_bench.pretrain.attention_tap import tap
from mixpro_bench.pretrain.foreign import ForeignClassifier
from mixpro_bench.pretrain.where import Where

pytestmark = pytest.mark.mm

CLASSES = 5


@DATASETS.register_module(force=True)
class SomebodysImages(Dataset):
    """Random images with labels."""

    def __init__(self, classes: int = CLASSES) -> None:
        self.classes = classes

    def __len__(self) -> int:
        return 18

    def __getitem__(self, index: int) -> dict:
        image = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(int(index)))
        return dict(img=image, target=int(index) % self.classes)


@DATASETS.register_module(force=True)
class SomebodysStream(IterableDataset):
    """The same without an order."""

    def __len__(self) -> int:
        return 16

    def __iter__(self):
        return (SomebodysImages()[i] for i in range(16))


@DATASETS.register_module(force=True)
class SomebodysSamples(SomebodysImages):
    """The same in OpenMMLab's data structure."""

    def __getitem__(self, index: int) -> dict:
        sample = super().__getitem__(index)
        return dict(inputs=sample["img"], data_samples=BaseDataElement(gt_label=torch.tensor([sample["target"]])))


@MODELS.register_module(force=True)
class SomebodysViT(BaseModel):
    """timm's ViT in a plain mmengine model."""

    def __init__(self, out: str = "tensor", **kwargs) -> None:
        super().__init__()
        sizes = dict(img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=CLASSES)
        self.net = timm.create_model("vit_tiny_patch16_224", **{**sizes, **kwargs})
        self.out = out
        self.own_losses = 0

    def forward(self, img, target=None, mode="tensor"):
        logits = self.net(img)
        if mode == "loss":
            self.own_losses += 1
            return dict(loss=F.cross_entropy(logits, target))
        return {"tensor": logits, "dict": dict(scores=logits), "pair": (logits, img), "odd": dict(out=logits)}[self.out]


@MODELS.register_module(force=True)
class SomebodysCNN(BaseModel):
    """A small convolutional network that takes data samples."""

    def __init__(self, data_preprocessor: dict | None = None) -> None:
        super().__init__(data_preprocessor)
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Linear(8, CLASSES)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        logits = self.head(self.net(inputs))
        if mode == "loss":
            raise AssertionError("the hook takes the place of this loss")
        return logits


VIT = dict(type="SomebodysViT")
CNN = dict(type="SomebodysCNN")


def run(tmp_path: Path, model: dict, hook: dict | None, dataset: str = "SomebodysImages", **cfg) -> Runner:
    samples = dataset == "SomebodysSamples"
    loader = dict(
        dataset=dict(type=dataset),
        sampler=None if dataset == "SomebodysStream" else dict(type="DefaultSampler", shuffle=True),
        collate_fn=dict(type="pseudo_collate" if samples else "default_collate"),
        batch_size=4,
        num_workers=0,
        drop_last=True,
    )
    if samples:
        model = dict(model, data_preprocessor=dict(type="ImgDataPreprocessor"))
    runner = Runner.from_cfg(
        Config(
            dict(
                model=model,
                work_dir=str(tmp_path),
                train_dataloader=loader,
                train_cfg=dict(by_epoch=True, max_epochs=2),
                optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
                custom_hooks=[] if hook is None else [dict(type="mixpro_bench.MixProHook", **hook)],
                randomness=dict(seed=0),
                experiment_name=tmp_path.name,
                default_hooks=dict(checkpoint=None),
            )
            | cfg
        )
    )
    runner.train()
    return runner


def test_mixpro_in_a_plain_vit(tmp_path: Path) -> None:
    runner = run(tmp_path, VIT, dict(policy=dict(preset="mixpro", mask_patch=8), off_last_epochs=1))
    assert runner.model.own_losses == 4  # the last epoch is the model's own
    assert "forward" not in vars(runner.model)
    steps = [runner.message_hub.get_info(f"mixpro_bench/steps/{n}", 0) for n in ("maskmix", "mixup", "cutmix")]
    assert sum(steps) == 4
    if steps[0]:
        assert "train/mix/factor" in runner.message_hub.log_scalars
    assert not any(m._forward_hooks for m in runner.model.modules())


def test_area_labels_in_a_cnn_with_data_samples(tmp_path: Path) -> None:
    runner = run(tmp_path, CNN, dict(policy=dict(preset="cutmix")), "SomebodysSamples")
    assert "train/mix/lam_area" in runner.message_hub.log_scalars


def test_data_without_an_order_are_looked_at_in_the_first_step(tmp_path: Path) -> None:
    branch = dict(mixer=dict(type="MaskMix", mask_patch=8), labeler=dict(type="PAL"))
    runner = run(tmp_path, VIT, dict(policy=dict(branches=[branch])), "SomebodysStream")
    assert runner.model.own_losses == 0
    assert "train/mix/lam_attention" in runner.message_hub.log_scalars


def test_attention_is_read_under_autocast(tmp_path: Path) -> None:
    branch = dict(mixer=dict(type="MaskMix", mask_patch=8), labeler=dict(type="PAL"))
    amp = dict(type="mixpro_bench.AmpOptimWrapper", optimizer=dict(type="SGD", lr=0.01))
    runner = run(tmp_path, VIT, dict(policy=dict(branches=[branch])), optim_wrapper=amp)
    attention, area = (
        runner.message_hub.get_scalar(f"train/mix/lam{name}").data[0] for name in ("_attention", "_area")
    )
    assert len(attention) == 8
    assert ((attention > 0) & (attention <= 1)).all()
    assert (attention != area).any()


def test_epochs_mean_nothing_where_iterations_are_counted(tmp_path: Path) -> None:
    hook = dict(policy=dict(preset="cutmix"), off_last_epochs=1)
    with pytest.raises(UserError, match="counts iterations"):
        run(tmp_path, VIT, hook, train_cfg=dict(by_epoch=False, max_iters=4))


def test_iterations_are_counted_too(tmp_path: Path) -> None:
    runner = run(tmp_path, VIT, dict(policy=dict(preset="cutmix")), train_cfg=dict(by_epoch=False, max_iters=3))
    assert runner.model.own_losses == 0


def test_the_look_at_the_data_leaves_the_run_alone(tmp_path: Path) -> None:
    model = dict(VIT, drop_path_rate=0.2)
    hook = dict(policy=dict(preset="mixpro", mask_patch=8), off_last_epochs=2)
    runners = [run(tmp_path / "with", model, hook), run(tmp_path / "without", model, None)]
    assert torch.equal(*(runner.model.net.head.weight for runner in runners))


@pytest.mark.parametrize(
    ("arguments", "read"), [({}, "cls"), (dict(qk_norm=True), "cls"), (dict(global_pool="avg"), "mean")]
)
def test_what_is_read_is_the_row_of_the_attention_matrix(arguments: dict, read: str) -> None:
    model = SomebodysViT(**arguments).net.eval()
    attn = model.blocks[-1].attn
    seen = {}
    handle = attn.register_forward_hook(lambda module, args, output: seen.update(x=args[0]))
    images = torch.randn(2, 3, 16, 16)
    with tap(attn, read, 1) as rows:
        model(images)
    handle.remove()
    b, n, _ = seen["x"].shape
    q, k, _ = attn.qkv(seen["x"]).reshape(b, n, 3, 2, 8).permute(2, 0, 3, 1, 4)
    weights = (attn.q_norm(q) @ attn.k_norm(k).mT * 8**-0.5).softmax(-1).mean(1)
    wanted = weights[:, 0, 1:] if read == "cls" else weights[:, 1:, 1:].mean(1)
    torch.testing.assert_close(rows, [wanted])


def test_it_is_the_loss_of_this_packages_classifier() -> None:
    """The same weights and draws give the same losses in both."""
    sizes = dict(img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2)
    backbone = dict(type="mixpro_bench.TimmBackbone", name="vit_tiny_patch16_224", num_classes=CLASSES, **sizes)
    policy = dict(branches=[dict(mixer=dict(type="SMMix"), labeler=dict(type="PAL"))])
    ours, theirs = MixClassifier(backbone, policy), SomebodysViT()
    theirs.net.load_state_dict(ours.backbone.model.state_dict())
    foreign = ForeignClassifier(theirs, build_policy(policy), Where())
    batch = dict(img=torch.randn(4, 3, 16, 16), target=torch.arange(4))
    foreign.prepare(batch)
    foreign.replace()
    ours.place = foreign.place = Place(0, 3)
    found, wanted = theirs(**batch, mode="loss"), ours(batch["img"], batch["target"], mode="loss")
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("model", "hook", "words"),
    [
        (VIT, dict(), "found no mixing policy"),
        (VIT, dict(policy=dict(preset="mixpro", mask_patch=8), labels="label"), "labels='label'"),
        (VIT, dict(policy=dict(preset="mixpro", mask_patch=8), images="pixels"), "images='pixels'"),
        (VIT, dict(policy=dict(preset="mixpro", mask_patch=8), attention="net.blocks.7.attn"), "net.blocks.1.attn"),
        (VIT, dict(policy=dict(preset="mixpro", mask_patch=8), attention="net.blocks.1"), "cannot be read"),
        (VIT, dict(policy=dict(preset="mixpro", mask_patch=8), patch_size=2), "2 x 17 tokens"),
        (VIT, dict(policy=dict(preset="mixpro", mask_patch=6)), "mask_patch=6"),
        (VIT, dict(policy=dict(preset="cutmix"), num_classes=7), "num_classes=7"),
        (VIT, dict(policy=dict(preset="cutmix"), tokens=7), "tokens is unknown"),
        (dict(VIT, out="pair"), dict(policy=dict(preset="cutmix")), "logits='auto'"),
        (dict(VIT, out="odd"), dict(policy=dict(preset="cutmix"), logits="scores"), "logits='scores'"),
        (
            dict(VIT, num_classes=2),
            dict(policy=dict(preset="cutmix"), labels="target"),
            "found class 2, but SomebodysViT has 2",
        ),
        (VIT, dict(policy=dict(preset="tl-align")), "share of A through every block"),
        (VIT, dict(policy=dict(preset="smmix")), "head of its own"),
        (VIT, dict(policy=dict(preset="tokenmix")), "teacher"),
        (CNN, dict(policy=dict(preset="mixpro", mask_patch=8)), "patch_size='auto'"),
        (CNN, dict(policy=dict(preset="mixpro", mask_patch=8), patch_size=4), "attention='auto'"),
    ],
)
def test_what_cannot_be_found_is_named_before_training(tmp_path: Path, model: dict, hook: dict, words: str) -> None:
    dataset = "SomebodysSamples" if model is CNN else "SomebodysImages"
    with pytest.raises(UserError, match=words):
        run(tmp_path, model, hook, dataset)


@pytest.mark.parametrize(("out", "logits"), [("dict", "auto"), ("odd", "out"), ("pair", 0)])
def test_logits_are_found_where_they_are(tmp_path: Path, out: str, logits: str | int) -> None:
    runner = run(tmp_path, dict(VIT, out=out), dict(policy=dict(preset="cutmix"), logits=logits))
    assert runner.model.own_losses == 0


class Biased(timm.layers.Attention):
    """Attention with something added to its scores that no parameter shows."""

    def forward(self, x, attn_mask=None, is_causal=False):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.eye(n))
        return self.proj(out.transpose(1, 2).reshape(b, n, c))


def test_scores_that_are_more_than_queries_and_keys_are_refused() -> None:
    model = SomebodysViT()
    model.net.blocks[1].attn = Biased(16, num_heads=2)
    foreign = ForeignClassifier(model, build_policy(dict(preset="mixpro", mask_patch=8)), Where())
    with pytest.raises(UserError, match="not softmax"):
        foreign.prepare(dict(img=torch.randn(2, 3, 16, 16), target=torch.arange(2)))
