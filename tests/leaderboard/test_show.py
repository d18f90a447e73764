"""A Record as lines for people."""

from __future__ import annotations

from mixpro_bench.cli.main import main
from mixpro_bench.leaderboard import write_record
from mixpro_bench.leaderboard.series import Series
from mixpro_bench.leaderboard.show import curve, describe

CURVES = {
    "loss": {"axis": "iter", "at": [10, 20, 30, 40], "values": [None, 7.0, 3.5, 0.0]},
    "top1": {"axis": "epoch", "at": [5], "values": [90.0]},
    "top5": {"axis": "epoch", "at": [5], "values": [None]},
    "lr": {"axis": "iter", "at": list(range(100)), "values": [0.1] * 99 + [0.2]},
}


def test_the_new_fields(make):
    record = make(
        series=CURVES,
        best={"metric": "top1", "value": 91.234, "at": 4, "axis": "epoch"},
        model={"parameters": 22_050_664, "macs": 4.6e9, "image_size": [224, 224]},
        cost={"wall_s": 7200.0, "train_s": 7000.0, "devices": 8},
        provenance={"device": "NVIDIA H100"},
        data_check="passed",
        predictions="kept/scores.npz",
    )
    rows = dict(describe(record))
    assert rows["series"].splitlines() == [
        "loss: 7 at iter 20, 0 at iter 40 █▅▁",
        "top1: 90 at epoch 5",
        "top5: no finite value in 1",
        "lr: 0.1 at iter 0, 0.2 at iter 99 " + "▁" * 23 + "█",
    ]
    assert rows["best"] == "top1 91.23 at epoch 4; 90 at the end"
    assert rows["model"] == "22.1 M parameters, 4.6 G multiply-accumulates of the backbone for 224 x 224 pixels"
    assert rows["cost"].splitlines()[-1] == "device hours: 16"
    assert (rows["data_check"], rows["predictions"]) == ("passed", "kept/scores.npz")


def test_what_is_not_known_takes_no_line(make):
    rows = dict(describe(make()))
    assert not {"series", "best", "model", "data_check", "predictions"} & set(rows)
    assert "device hours" not in rows["cost"]
    assert dict(describe(make(model={"parameters": 950})))["model"] == "950 parameters"


def test_a_flat_curve_has_no_shape():
    assert curve(Series(axis="iter", at=[1, 2], values=[3.0, 3.0])) == "3 at iter 1, 3 at iter 2"


def test_show_prints_them(make, tmp_path, capsys):
    write_record(make(series=CURVES), tmp_path / "record.json")
    assert main(["record", "show", str(tmp_path)]) == 0
    assert "loss: 7 at iter 20" in capsys.readouterr().out
