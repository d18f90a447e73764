"""The list of configs is complete, and every file is what its name and its header say."""

from __future__ import annotations

import ast
import json
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path

import pytest

from mixpro_bench.cli.main import main
from mixpro_bench.config_index import LEFT_OUT, bench_of, list_configs
from mixpro_bench.errors import UserError
from mixpro_bench.presets import PRESETS
from mixpro_bench.protocols import protocol_of

ROOT = Path(__file__).parents[2]
ENTRIES = list_configs(ROOT / "configs")
PAPER = [e for e in ENTRIES if e.protocol.startswith(("in1k", "coco", "ade20k"))]
SYSTEMS = [e for e in PAPER if "systems" in Path(e.file).parts]
IN1K = [e for e in PAPER if e.protocol == "in1k-300e" and PRESETS[e.preset].mix != "common" and e not in SYSTEMS]
COMMON = [e for e in PAPER if e.protocol == "in1k-300e" and PRESETS[e.preset].mix == "common"]


def test_the_matrix_is_full_but_for_what_is_left_out():
    there = {(e.backbone, e.preset) for e in IN1K}
    backbones, presets = ({pair[i] for pair in there} for i in (0, 1))
    assert len(backbones) >= 15
    assert len({e.method for e in IN1K}) >= 8
    missing = set(product(backbones, presets)) - there
    assert all(any(one.fits(*pair) for one in LEFT_OUT) for pair in missing)
    assert not any(one.fits(*pair) for one in LEFT_OUT for pair in there)
    assert all(any(fnmatchcase(b, one.backbone) for b in backbones) for one in LEFT_OUT)


@pytest.mark.parametrize("backbone", ["deit_small_p16", "swin_tiny"])
def test_the_common_mix_is_there_for_every_method(backbone):
    methods = {p.method for p in PRESETS.values() if p.mix in ("common", "both") and p.kind == "official"}
    there = {e.method for e in COMMON if e.backbone == backbone}
    assert methods - there == {"mixpro"}  # whose own mix is the common one
    assert len(methods) == 5


def test_every_method_has_its_official_recipe():
    official = {e.method for e in PAPER if e.protocol.startswith("in1k-official-")}
    assert official == {"mixpro", "transmix", "tl-align", "tokenmix", "smmix", "mixup-cutmix"}


@pytest.mark.parametrize(
    "protocol", ["coco-maskrcnn-1x", "coco-maskrcnn-3x", "ade20k-upernet-160k", "ade20k-upernet-80k"]
)
def test_every_backbone_has_every_transfer(protocol):
    backbones = {e.backbone for e in IN1K}
    assert {e.backbone for e in ENTRIES if e.protocol == protocol and e not in SYSTEMS} == backbones


def test_no_two_configs_share_a_name():
    """The work dir of a run is named after its config."""
    names = [Path(e.file).stem for e in ENTRIES]
    assert len(set(names)) == len(names)


def test_names_headers_and_bench_agree():
    for entry in PAPER:
        path = Path(entry.file)
        text = path.read_text()
        header = ast.get_docstring(ast.parse(text))
        assert protocol_of({"protocol": entry.protocol, "version": entry.version}).task == entry.task
        short = {"pretrain": "pretrain", "det": "transfer_det", "seg": "transfer_seg"}[entry.task]
        assert f"Command: bash tools/{short}.sh {path.relative_to(ROOT)} " in header
        assert "Cost: not run here." in header
        if protocol_of(bench_of(path)).claims:
            assert "\nPublished: " in header
        assert f"_{entry.backbone}_" in f"_{path.stem}_"
        if entry.task == "pretrain":
            assert path.stem.endswith(f"_{entry.preset}")
            # MixMIM is an objective of its own, no preset of a policy.
            assert (PRESETS[entry.preset].method if entry.preset in PRESETS else "mixmim") == entry.method
        assert len(text.split('"""')[2].strip().splitlines()) <= 17


def test_the_command_lists_them(capsys):
    assert main(["configs", "--json", "--dir", str(ROOT / "configs"), "--task", "seg"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {row["task"] for row in listed["configs"]} == {"seg"}
    assert all((ROOT / row["file"]).is_file() for row in listed["configs"])
    assert listed["left_out"][0]["reason"]
    assert main(["configs", "--dir", str(ROOT / "configs"), "--backbone", "xcit_tiny12"]) == 0
    table = capsys.readouterr().out
    assert "upernet_xcit_tiny12_160k.py" in table
    assert "carries no share" in table


def test_a_folder_without_configs_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no configs"):
        list_configs(tmp_path)
