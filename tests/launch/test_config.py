"""What is refused in a config, with which sentence, and which configs are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixpro_bench.config import canonical_json, config_hash, load_config, recipe_hash
from mixpro_bench.config_check import check_config, known_arguments
from mixpro_bench.errors import UserError

pytestmark = pytest.mark.mm

CONFIGS = Path(__file__).parents[2] / "configs"
# Those of paper scale are in tests/configs.
PAPER = {"in1k", "in1k_10e", "coco", "ade20k"}
SHIPPED = sorted(
    path
    for room in ("pretrain", "transfer")
    for path in CONFIGS.glob(f"{room}/**/*.py")
    if not PAPER.intersection(path.parts)
)

GOOD = dict(
    default_scope="mixpro_bench",
    runner_type="mixpro_bench.Runner",
    bench=dict(task="pretrain"),
    model=dict(
        type="mixpro_bench.MixClassifier",
        data_preprocessor=dict(type="BaseDataPreprocessor"),
        backbone=dict(type="mixpro_bench.TimmBackbone", name="vit_tiny_patch16_224", drop_path_rate=0.1),
        policy=dict(preset="mixpro"),
    ),
    optim_wrapper=dict(
        type="AmpOptimWrapper",
        dtype="bfloat16",
        clip_grad=None,
        constructor="mixpro_bench.ParamGroups",
        optimizer=dict(type="AdamW", lr=1e-3),
    ),
    default_hooks=dict(checkpoint=dict(type="mixpro_bench.CheckpointHook", interval=1, priority="LOW")),
    train_dataloader=dict(sampler=dict(type="DefaultSampler", shuffle=True)),
    # A `type` of timm's, not of a registry.
    transform=dict(type="light"),
    train_pipeline=[],
    optimizer=dict(type="AdamW"),
)


def changed(path: str, value: object) -> dict:
    """Return GOOD with one dotted key set."""
    from mmengine.config import Config

    cfg = Config(GOOD)
    cfg.merge_from_dict({path: value})
    return cfg


def test_a_good_config_passes():
    check_config(GOOD)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("model.backbone.drop_pth_rate", 0.1, r"'model\.backbone\.drop_pth_rate' is no argument .*'drop_path_rate'"),
        ("model.polcy", {}, r"'model\.polcy' is no argument of mixpro_bench\.MixClassifier: did you mean 'policy'"),
        ("default_hooks.checkpoint.intervall", 1, r"checkpoint\.intervall' .*did you mean 'interval'"),
        ("optim_wrapper.clipgrad", None, r"'optim_wrapper\.clipgrad' is no argument .*did you mean 'clip_grad'"),
        ("model.backbone.type", "mixpro_bench.TimBackbone", r"does not exist: did you mean '\S+\.TimmBackbone'"),
        ("model.type", "MixClasifier", r"'model\.type' names 'MixClasifier'.*did you mean 'MixClassifier'"),
        ("optim_wrapper.optimizer.type", "AdamWW", r"'optim_wrapper\.optimizer\.type' .*did you mean 'AdamW'"),
        ("train_dataloader.sampler.type", "DefaultSamplr", r"sampler\.type' names .*did you mean 'DefaultSampler'"),
        ("default_hooks.logger", dict(type="LogerHook"), r"did you mean 'LoggerHook'"),
        ("custom_hooks", [dict(type="mixpro_bench.NoHook")], r"'custom_hooks\.0\.type' names 'mixpro_bench\.NoHook'"),
        ("optim_wraper", {}, r"'optim_wraper' is not read by anything: did you mean 'optim_wrapper'"),
        ("train_dataloder", {}, r"did you mean 'train_dataloader'"),
        ("benh", {}, r"did you mean 'bench'"),
        ("load_form", "x", r"did you mean 'load_from'"),
    ],
)
def test_mistakes_are_named(path, value, sentence):
    with pytest.raises(UserError, match=sentence):
        check_config(changed(path, value))


def test_arguments_of_an_unknown_timm_model_are_left_to_timm():
    from mixpro_bench.registry import MODELS

    assert known_arguments(MODELS.get("TimmBackbone"), dict(name="no_such_model")) is None


@pytest.mark.configs
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configs_pass(path):
    assert load_config(path).runner_type == "mixpro_bench.Runner"


def test_files_that_are_no_configs(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.py does not exist"):
        load_config(tmp_path / "nothing.py")
    path = tmp_path / "bad.py"
    path.write_text("a = (1,\n")
    with pytest.raises(UserError, match=r"bad\.py is not valid Python .*line 1"):
        load_config(path)
    path.write_text("a = undefined_name\n")
    with pytest.raises(UserError, match=r"bad\.py cannot be read: NameError"):
        load_config(path)
    path.write_text("_base_ = 'none.py'\n")
    with pytest.raises(UserError, match=r"bad\.py cannot be read"):
        load_config(path)


def test_options_are_merged_and_checked(tmp_path):
    path = tmp_path / "good.py"
    path.write_text("train_cfg = dict(by_epoch=True, max_epochs=3)\n")
    assert load_config(path, {"train_cfg.max_epochs": 1}).train_cfg.max_epochs == 1
    with pytest.raises(UserError, match="did you mean 'randomness'"):
        load_config(path, {"randomess.seed": 1})


def test_hash_is_of_the_content():
    base = dict(model=dict(type="A", k=(1, 2)), work_dir="x", resume=False)
    same = dict(work_dir="y", launcher="pytorch", model=dict(k=[1, 2], type="A"))
    assert config_hash(base) == config_hash(same)
    assert config_hash(base) != config_hash({**base, "model": dict(type="A", k=(1, 3))})
    handover = dict(type="mixpro_bench.Handover", checkpoint="/here/a.pth", weights="auto")
    moved = {**handover, "checkpoint": "/there/b.pth"}
    assert config_hash(dict(init_cfg=handover)) == config_hash(dict(init_cfg=moved))
    assert config_hash(dict(init_cfg=handover)) != config_hash(dict(init_cfg={**moved, "weights": "ema"}))
    assert canonical_json({"b": (1, None), "a": check_config}) == (
        '{"a":"mixpro_bench.config_check.check_config","b":[1,null]}'
    )


def test_recipes_leave_the_compared_open():
    recipe = recipe_hash(changed("randomness", dict(seed=0)))
    for path, value in (
        ("randomness.seed", 3),
        ("model.policy", dict(preset="cutmix")),
        ("model.backbone.name", "deit_small_patch16_224"),
        ("bench.method", "cutmix"),
        ("train_dataloader.num_workers", 8),
        ("train_dataloader.dataset", None),
        ("work_dir", "elsewhere"),
        ("custom_hooks", []),
        ("log_level", "ERROR"),
    ):
        cfg = changed(path, value)
        if path in ("train_dataloader.dataset", "custom_hooks"):
            assert recipe_hash(cfg) != recipe, path
        else:
            assert recipe_hash(cfg) == recipe, path
    for path, value in (
        ("optim_wrapper.optimizer.lr", 1.0),
        ("train_dataloader.batch_size", 3),
        ("bench.protocol", "other"),
        ("bench.task", "det"),
    ):
        assert recipe_hash(changed(path, value)) != recipe, path


def test_recipes_leave_places_open():
    def loader(root: str) -> dict:
        return dict(dataset=dict(type="D", data_root=root, ann_file=f"{root}/a.json", min_size=3), extra=f"{root}/x")

    assert recipe_hash(loader("/here")) == recipe_hash(loader("/there"))
