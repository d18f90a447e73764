"""Probes against scikit-learn, features computed once, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.neighbors import KNeighborsClassifier

from mixpro_bench.errors import UserError
from mixpro_bench.robustness.features import Features, check_filled, features_of, without_classifier
from mixpro_bench.robustness.load import load_subject
from mixpro_bench.robustness.part import make_part
from mixpro_bench.robustness.probes import TEMPERATURE, choose, fit_swept, vote
from mixpro_bench.robustness.subject import Subject


def nothing(done: int, total: int) -> None:
    """Take no note of progress."""


def test_vote_agrees_with_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    train, test = torch.randn(80, 6, generator=generator), torch.randn(33, 6, generator=generator)
    labels = torch.randint(4, (80,), generator=generator)

    def weights(distance: np.ndarray) -> np.ndarray:
        return np.exp((1 - distance) / TEMPERATURE)

    theirs = KNeighborsClassifier(9, metric="cosine", weights=weights).fit(train, labels).predict(test)
    assert vote(train, labels, test, 9, 4, chunk=10).tolist() == theirs.tolist()


def test_features_are_what_the_classifier_sees(subject: Subject):
    images, _, _ = next(subject.batches())
    bare = without_classifier(subject.backbone)
    features = bare(images).logits
    head = subject.backbone.model.head
    assert features.shape == (8, 48)
    assert torch.allclose(head(features), subject.backbone(images).logits, atol=1e-5)


def test_features_are_computed_once(toy, tmp_path, monkeypatch: pytest.MonkeyPatch):
    subject = load_subject(toy.config, toy.checkpoint, device="cpu", work_dir=tmp_path)
    first = features_of(subject, "train", nothing)
    assert first.values.shape == (120, 48)
    (file,) = (tmp_path / "features").glob("train-*.safetensors")
    with safe_open(file, framework="pt") as content:
        assert content.metadata()["checkpoint"] == subject.upstream.sha256
    monkeypatch.setattr(Subject, "collect", lambda *args, **kwargs: pytest.fail("computed again"))
    assert torch.equal(features_of(subject, "train", nothing).values, first.values)


def test_a_broken_file_of_features_is_replaced(toy, tmp_path):
    subject = load_subject(toy.config, toy.checkpoint, device="cpu", work_dir=tmp_path)
    first = features_of(subject, "val", nothing)
    (file,) = (tmp_path / "features").glob("val-*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(features_of(subject, "val", nothing).values, first.values)
    with safe_open(file, framework="pt") as content:
        assert content.get_tensor("features").shape == (60, 48)


def test_what_was_learned_is_linearly_there(subject: Subject):
    found = {}
    for name, options in (("knn", dict(k=5)), ("linear", {}), ("fewshot", dict(shots=[1, 25], draws=2))):
        part = make_part(name, options)
        part.check(subject)
        found.update(part.run(subject, nothing).metrics)
    assert found["knn/top1"] > 70
    assert found["linear/top1"] > 80
    assert found["fewshot/25"] > 70
    assert found["fewshot/25_sd"] >= 0


def test_shots_are_drawn_of_every_class():
    y = np.repeat(np.arange(4), 10)
    one, other = (choose(y, 3, np.random.default_rng(seed)) for seed in (0, 1))
    assert np.bincount(y[one]).tolist() == [3, 3, 3, 3]
    assert one.tolist() != other.tolist()
    assert len(set(choose(np.zeros(5000), None, np.random.default_rng(0)).tolist())) == 1000


def test_strength_is_chosen_on_held_out_examples():
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1], 60)
    x = generator.normal(0, 1, (120, 40))
    x[:, 0] += 2.5 * y
    _, strength = fit_swept(x, y, np.random.default_rng(1), (1e-4, 1e-2, 1e4))
    assert strength < 1e4
    _, strength = fit_swept(x[[0, 119]], y[[0, 119]], np.random.default_rng(1), (1e-2, 1.0, 1e2))
    assert strength == 1.0


def test_an_empty_class_and_too_few_shots(subject: Subject):
    features = Features(torch.zeros(3, 2), torch.tensor([0, 0, 2]), ("a", "b", "c"))
    with pytest.raises(UserError, match="class 'b' has 0"):
        check_filled(features, 1, "linear")
    with pytest.raises(UserError, match="needs 41 training pictures of every class, class 'circle' has 40"):
        make_part("fewshot", dict(shots=[41])).run(subject, nothing)


def test_no_training_pictures(toy):
    subject = load_subject(toy.config, toy.checkpoint, device="cpu", options={"train_dataloader": None})
    with pytest.raises(UserError, match="no training pictures"):
        make_part("knn").check(subject)
