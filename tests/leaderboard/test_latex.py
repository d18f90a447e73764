"""The LaTeX table: what is bold, what is underlined, and that no name breaks it."""

from __future__ import annotations

import re

import pytest

from mixpro_bench.leaderboard.latex import to_latex
from mixpro_bench.leaderboard.table import build_tables


def line_of(text, method):
    return next(line for line in text.splitlines() if f"& {method} &" in line)


def test_best_is_bold_and_second_underlined(make):
    tops = {"a": (90.0, 92.0), "b": (88.0, 89.0), "c": (70.0, 71.0)}
    records = [make(method=name, seed=s, metrics={"top1": v}) for name, values in tops.items()
               for s, v in enumerate(values)]  # fmt: skip
    text = to_latex(build_tables(records))
    assert r"\textbf{91.0} $\pm$ 1.4" in line_of(text, "a")
    assert r"\underline{88.5} $\pm$ 0.7" in line_of(text, "b")
    assert "70.5 $\\pm$ 0.7" in line_of(text, "c")
    assert "textbf" not in line_of(text, "c")
    assert all(word in text for word in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{llllr"))


def test_equal_means_share_the_place_and_a_lone_row_has_none(make):
    text = to_latex(build_tables([make(method=name, metrics={"top1": 90.01}) for name in "ab"]))
    assert text.count(r"\textbf") == 2
    assert "\\underline{" not in text
    assert "\\textbf{" not in to_latex(build_tables([make()]))


def test_backbones_are_apart(make):
    records = [make(method=name, backbone=net, metrics={"top1": 80.0 + len(name)})
               for name in ("a", "bb") for net in ("n1", "n2")]  # fmt: skip
    text = to_latex(build_tables(records))
    assert text.count(r"\midrule") == 2
    assert text.count(r"\textbf{82.0}") == 2


def test_what_a_reader_must_know_is_marked(make):
    records = [make(method="a"), make(method="b", metrics={"top1": 80.0}), make(method="c", metrics={"top1": 70.0})]
    records[1].provenance.dirty = True
    records[2].provenance.dirty = True
    records[2].data_check = "failed"
    text = to_latex(build_tables(records))
    assert r"& a & 1" in text
    assert r"& b\textsuperscript{a} & 1" in text
    assert r"& c\textsuperscript{a,b} & 1" in text
    assert "(a) dirty, (b) data check failed." in text
    assert "Dirty: the code had changes" in text


@pytest.mark.parametrize("name", ["a_b", "50%", "x & y", r"\input{/etc/passwd}", "a{", "^~#$", "<b>|"])
def test_names_cannot_break_it(make, name):
    text = to_latex(build_tables([make(method=name), make(method="z")]))
    bare = re.sub(r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}", "", text)
    rows = [line for line in bare.splitlines() if line.startswith("    ") and line.endswith(r"\\")]
    assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    assert r"\input" not in text
    assert len(re.findall(r"(?<!\\)\{", bare)) == len(re.findall(r"(?<!\\)\}", bare))
    assert not [row for row in rows if re.search(r"(?<!\\)[%#_]", row)]
