"""Dynamic Spatial Sparsification against its closed form, timm's base networks, and its decisions written as loops."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import gmacs, linear, norm, parameters

from mixpro_bench.backbones import DSSDeiT, DSSSwin, Need
from mixpro_bench.backbones.dss import Predictor, number_kept, ratio_loss
from mixpro_bench.backbones.dss_deit import seen_attention
from mixpro_bench.backbones.dss_swin import attended, fast, slow
from mixpro_bench.errors import UserError
from mixpro_bench.mixing import Place
from mixpro_bench.pretrain import MixClassifier

pytestmark = pytest.mark.systems

DEIT = dict(img_size=64, embed_dim=24, depth=4, num_heads=3, num_classes=5)
SWIN = dict(img_size=64, window_size=2, embed_dim=16, depths=(1, 2, 4, 2), num_heads=(1, 2, 2, 4), num_classes=5)


def predictor(c: int) -> int:
    return norm(c) + linear(c, c) + linear(c, c // 2) + linear(c // 2, c // 4) + linear(c // 4, 2)


def test_parameters():
    assert parameters(DSSDeiT, "dss_deit_tiny") == 5_899_582 == 5_717_416 + 3 * predictor(192)
    assert parameters(DSSDeiT, "dss_deit_256") == 10_304_942
    assert parameters(DSSDeiT, "dss_deit_small") == 22_774_414 == 22_050_664 + 3 * predictor(384)
    fast_path = norm(384) + linear(384, 384)
    assert parameters(DSSSwin, "dss_swin_tiny") == 29_755_144 == 28_288_354 + 3 * predictor(384) + 5 * fast_path


def test_macs():
    assert gmacs(DSSSwin, "dss_swin_tiny") == pytest.approx(4.0, rel=0.02)
    # The authors' table rounds down: 1.3 and 2.9.
    assert math.floor(10 * gmacs(DSSDeiT, "dss_deit_256")) == 13
    assert math.floor(10 * gmacs(DSSDeiT, "dss_deit_small")) == 29


def livelier(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    return model


def images(batch: int = 2, size: tuple[int, int] = (64, 64)) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def base_of(model: DSSDeiT | DSSSwin) -> nn.Module:
    """Return timm's network with the weights of ours."""
    state = {n: p for n, p in model.state_dict().items() if not n.startswith(("predictors.", "fast_paths."))}
    if isinstance(model, DSSDeiT):
        base = timm.create_model("deit_tiny_patch16_224", **DEIT)
        positions = torch.cat((state.pop("stem.cls_pos"), state.pop("stem.pos_embed")), dim=1)
        named = {"pos_embed": positions, "cls_token": state.pop("stem.cls_token")}
        for name, value in state.items():
            stage = name.split(".")
            name = f"blocks.{stage[1]}.{'.'.join(stage[4:])}" if stage[0] == "stages" else name
            named[name.replace("stem.conv.", "patch_embed.proj.")] = value
    else:
        base = timm.create_model("swin_tiny_patch4_window7_224", **SWIN)
        swaps = {"stem.": "patch_embed.", "stages.": "layers.", "head.": "head.fc."}
        named = {}
        for name, value in state.items():
            lead = next((k for k in swaps if name.startswith(k)), "")
            named[swaps.get(lead, "") + name.removeprefix(lead)] = value
    base.load_state_dict(named)
    return base.eval()


@pytest.mark.parametrize(
    "model",
    [DSSDeiT("dss_deit_test", num_classes=5, keep=1.0), DSSSwin("dss_swin_test", num_classes=5, keep=1.0, step=0.0)],
    ids=["deit", "swin"],
)
@torch.no_grad()
def test_with_nothing_to_drop_it_is_the_base(model: DSSDeiT | DSSSwin):
    base = base_of(livelier(model))
    wanted = base(images())
    assert wanted.std() > 0.05
    assert torch.allclose(model.eval()(images()).logits, wanted, atol=1e-5)
    out = model.train()(images())
    assert torch.allclose(out.logits, wanted, atol=1e-5)
    assert out.aux_losses["ratio"] == 0
    full = type(model)(model.name, num_classes=5)
    full.load_state_dict(model.state_dict())
    assert not torch.allclose(full.eval()(images()).logits, wanted, atol=1e-3)


def test_seen_attention_is_its_formula():
    torch.manual_seed(0)
    scores, seen = torch.randn(2, 3, 6, 6) * 3, (torch.rand(2, 6) > 0.5).float()
    found = seen_attention(scores, seen)
    for b in range(2):
        for h in range(3):
            for i in range(6):
                row = scores[b, h, i]
                graph = [1.0 if i == j else float(seen[b, j]) for j in range(6)]
                terms = [math.exp(row[j] - row.max()) * graph[j] for j in range(6)]
                for j in range(6):
                    assert found[b, h, i, j].item() == pytest.approx(
                        (terms[j] + 1e-6 / 6) / (sum(terms) + 1e-6), abs=1e-5
                    )
    everything = seen_attention(scores, torch.ones(2, 6))
    assert torch.allclose(everything, scores.softmax(-1), atol=1e-5)


def test_predictor_means_over_what_is_left():
    torch.manual_seed(0)
    scorer = livelier(Predictor(16))
    x, kept = torch.randn(2, 7, 16), torch.tensor([[1.0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]])
    found = scorer(x, kept)
    for b in range(2):
        z = scorer.embed(x[b])
        left = [n for n in range(7) if kept[b, n]]
        mean = z[left, 8:].mean(dim=0) if left else torch.zeros(8)
        for n in range(7):
            wanted = scorer.score(torch.cat((z[n, :8], mean))).log_softmax(dim=0)
            assert torch.allclose(found[b, n], wanted, atol=1e-5)
    assert torch.allclose(scorer(x), scorer(x, torch.ones(2, 7)), atol=1e-6)


def test_ratio_loss():
    a, b = torch.tensor([[1.0, 1, 0, 0], [1, 1, 1, 1]]), torch.tensor([[0.0, 1, 0, 0], [0, 0, 0, 0]])
    wanted = ((0.5 - 0.7) ** 2 + (1 - 0.7) ** 2) / 2 / 2 + ((0.25 - 0.5) ** 2 + 0.5**2) / 2 / 2
    assert ratio_loss([a, b], [0.7, 0.5]).item() == pytest.approx(wanted)


def test_number_kept():
    assert [number_kept(196, 0.7**i) for i in (1, 2, 3)] == [137, 96, 67]
    assert number_kept(16, 0.7 - 0.2) == 8
    assert number_kept(2, 0.3) == 1


class Told(nn.Module):
    """A predictor that scores each place as it is told; decisions for training, scores elsewhere."""

    def __init__(self, order: Tensor, kept: Tensor) -> None:
        super().__init__()
        self.order, self.kept = order, kept

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        scores = self.order if not self.training else torch.where(self.kept, 100.0, -100.0)
        return torch.stack((scores, -scores), dim=-1).expand(len(x), -1, -1)


def told(model: DSSDeiT | DSSSwin, places: int) -> list[Tensor]:
    """Give a model predictors that all hold the same places in esteem; return what each keeps, bool, (places,)."""
    score = torch.randn(places, generator=torch.Generator().manual_seed(3))
    ranks = score.argsort(descending=True).argsort()
    kept, at, given = [ranks < number_kept(places, r) for r in model.ratios], score, []
    for ratio, mask in zip(model.ratios, kept, strict=True):
        given.append(Told(at, mask))
        if isinstance(model, DSSDeiT):
            # The next one sees what is left, in the order in which it was gathered.
            at = at.sort(descending=True).values[: number_kept(places, ratio)]
    model.predictors = nn.ModuleList(given)
    return kept


@torch.no_grad()
def test_what_is_gathered_is_what_attention_sees_in_training():
    model = livelier(DSSDeiT("dss_deit_test", num_classes=5))
    kept = told(model, 16)
    need = Need("auto", tokens=True)
    test, training = model.eval()(images(), need=need), model.train()(images(), need=need)
    assert torch.allclose(test.logits, training.logits, atol=1e-4)
    assert torch.allclose(test.importance, training.importance, atol=1e-4)
    assert torch.equal(test.importance.flatten(1) > 1e-5, kept[-1].expand(2, -1))
    last = kept[-1].view(1, 1, 4, 4)
    assert torch.allclose(test.tokens * last, training.tokens * last, atol=1e-4)
    wanted = ratio_loss([k.float()[None] for k in kept], model.ratios)
    assert torch.allclose(training.aux_losses["ratio"], 2 * wanted)


@torch.no_grad()
def test_a_dropped_patch_stays_what_it_was():
    model = livelier(DSSDeiT("dss_deit_test", dense=True)).train()
    kept = told(model.eval(), 15)
    model.predictors.eval()
    maps = [m.flatten(2) for m in model(images(1, (41, 80)))]
    assert maps[0].shape == (1, 24, 15)
    for mask, before, after in zip(kept, maps[:-1], maps[1:], strict=True):
        assert torch.equal((before == after).all(dim=1)[0], ~mask)


@torch.no_grad()
def test_every_place_takes_its_path():
    model = livelier(DSSSwin("dss_swin_test", num_classes=5))
    assert [number_kept(16, r) for r in model.ratios] == [11, 8, 4]
    kept = told(model, 16)
    stage, entered, left = model.stages[2], [], []
    model.stages[2].downsample.register_forward_hook(lambda _, args, out: entered.append(out))
    model.stages[3].downsample.register_forward_pre_hook(lambda _, args: left.append(args[0]))
    test, training = model.eval()(images()), model.train()(images())
    assert torch.allclose(test.logits, training.logits, atol=1e-5)
    x = stage.blocks[0](entered[0])
    for mask, block, path in zip(kept, stage.blocks[1:], model.fast_paths, strict=True):
        y = attended(block, x)
        x = torch.stack(
            [
                torch.stack([(slow(block, p) if mask[n] else fast(block, path, p)) for n, p in enumerate(one)])
                for one in y.flatten(1, 2)
            ]
        ).view_as(y)
    assert torch.allclose(left[0], x, atol=1e-5)
    assert torch.allclose(left[1], x, atol=1e-5)


@pytest.mark.parametrize("model", [DSSDeiT("dss_deit_test"), DSSSwin("dss_swin_test")], ids=["deit", "swin"])
def test_decisions_learn_from_the_classifier_alone(model: DSSDeiT | DSSSwin):
    livelier(model).train()
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        model.zero_grad()
        out = model(images(4))
        out.logits.square().mean().backward()
        draws.append(out.logits.detach())
        assert all(p.grad.abs().sum() > 0 for n, p in model.predictors.named_parameters() if "weight" in n)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("cls", [DSSDeiT, DSSSwin])
def test_a_teacher_is_followed(cls, tmp_path):
    variant = "dss_deit_test" if cls is DSSDeiT else "dss_swin_test"
    name, sizes = ("deit_tiny_patch16_224", DEIT) if cls is DSSDeiT else ("swin_tiny_patch4_window7_224", SWIN)
    source = livelier(timm.create_model(name, **sizes)).eval()
    path = tmp_path / "teacher.pth"
    torch.save(source.state_dict(), path)
    teacher = dict(name=name, checkpoint=str(path), **{k: v for k, v in sizes.items() if k != "num_classes"})
    model = livelier(cls(variant, num_classes=5, teacher=teacher)).train()
    assert model.state_dict().keys() == cls(variant, num_classes=5).state_dict().keys()
    torch.manual_seed(0)
    out = model(images(4), need=Need(tokens=True))
    assert set(out.aux_losses) == {"ratio", "distill_logits", "distill_tokens"}
    with torch.no_grad():
        theirs, features = source(images(4)).softmax(-1), source.forward_features(images(4))
    ours = out.logits.softmax(-1)
    wanted = 0.5 * (theirs * (theirs.log() - ours.log())).sum(dim=1).mean()
    assert torch.allclose(out.aux_losses["distill_logits"], wanted, atol=1e-6)
    if cls is DSSSwin:
        missed = 0.5 * (out.tokens.permute(0, 2, 3, 1) - features).square().mean()
        assert torch.allclose(out.aux_losses["distill_tokens"], missed, atol=1e-6)
    else:
        told(model, 16)
        told_out = model(images(4), need=Need(tokens=True))
        kept = model.predictors[-1].kept
        ours = told_out.tokens.flatten(2).mT[:, kept]
        missed = 0.5 * (ours - features[:, 1:][:, kept]).square().mean()
        assert torch.allclose(told_out.aux_losses["distill_tokens"], missed, atol=1e-6)
    sum(out.aux_losses.values()).backward()
    assert model.eval()(images()).aux_losses == {}
    assert cls(variant, dense=True, teacher=teacher).teacher is None
    with pytest.raises(UserError, match="and 5 classes, dss_"):
        cls(variant, num_classes=6, teacher=teacher)


def test_shares_that_leave_nothing_are_refused():
    with pytest.raises(UserError, match=r"shares of 0\.3, 0\.1, -0\.1"):
        DSSSwin("dss_swin_test", keep=0.3)
    with pytest.raises(UserError, match="at most 1"):
        DSSDeiT("dss_deit_test", keep=1.2)


def test_attention_of_several_windows_is_no_importance():
    model = DSSSwin("dss_swin_test").eval()
    assert model.importance_kinds == ("mean_attn", "cam")
    with pytest.raises(UserError, match="in images up to 64 px, not 64 x 96: ask for importance 'cam'"):
        model(images(1, (64, 96)), need=Need("auto"))
    assert DSSSwin("dss_swin_test", img_size=128).importance_kinds == ("cam",)


def test_transfer_trains_both_paths_and_no_predictor():
    model = DSSSwin("dss_swin_test", dense=True).train()
    sum(m.square().mean() for m in model(images(1, (70, 100)))).backward()
    idle = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert idle == {"predictors", "norm"}
    assert not any(p.requires_grad for p in model.predictors.parameters())


@pytest.mark.parametrize("keep", [0.7, 1.0])
@pytest.mark.parametrize("name", ["DSSDeiT", "DSSSwin"])
def test_its_losses_are_trained_with(name: str, keep: float):
    variant = "dss_deit_test" if name == "DSSDeiT" else "dss_swin_test"
    backbone = dict(type=f"mixpro_bench.{name}", variant=variant, num_classes=5, keep=keep)
    if name == "DSSSwin" and keep == 1:
        backbone["step"] = 0.0
    model = MixClassifier(backbone, dict(preset="mixpro", mask_patch=16))
    model.place = Place(0, 0)
    losses = model(images(4), torch.arange(4), mode="loss")
    assert (losses["loss_ratio"] > 0) == (keep < 1)
    total, _ = model.parse_losses(losses)
    summed = sum(value.detach() for key, value in losses.items() if key.startswith("loss_"))
    assert torch.allclose(total.detach(), summed)
    total.backward()
    # DDP waits for every parameter at every step, also where nothing is dropped.
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
