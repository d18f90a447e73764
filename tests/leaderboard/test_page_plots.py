"""What the page draws, and what it makes of odd Records, in a real headless Chromium."""

from __future__ import annotations

import json
import re

import pytest

from mixpro_bench.cli.main import main
from mixpro_bench.leaderboard import write_record
from mixpro_bench.leaderboard.page import write_html
from mixpro_bench.leaderboard.published import published_table
from mixpro_bench.leaderboard.table import build_tables

pytestmark = pytest.mark.browser
NASTY = "</script><img src=x onerror=alert(1)>混合"
CAPTIONS = "[...document.querySelectorAll('section figcaption')].map((node) => node.textContent)"


def course(*values, axis="epoch"):
    return {"axis": axis, "at": list(range(10, 10 * len(values) + 1, 10)), "values": list(values)}


@pytest.fixture(scope="module")
def records(chain):
    """Two seeds of a baseline and five of MixPro with curves, one of a nasty name without."""
    records = []
    for method, seeds, shift in (("none", 2, 0.0), ("mixpro", 5, 2.0)):
        for seed in range(seeds):
            pretrain, det, seg = chain(method, seed)
            pretrain.metrics["top1"] = 80.0 + shift + 0.1 * seed**2
            det.metrics["coco/bbox_mAP"] = 0.40 + 0.01 * shift + 0.001 * seed
            seg.metrics["mIoU"] = 50.0 + shift - 0.1 * seed
            factor = {"factor": course(0.1, 0.5, 1.0)} if method == "mixpro" else {}
            pretrain.series = {"loss": course(6.0, 3.0, 2.0 + 0.1 * seed), "lr": course(1e-3, 5e-4, 1e-5), **factor}
            det.series = {"coco/bbox_mAP": course(0.2, None, det.metrics["coco/bbox_mAP"], axis="iter")}
            for record in (pretrain, det, seg):
                record.provenance.device = "NVIDIA T4"
                record.cost.wall_s = 3600.0 + 60 * shift
            records += [pretrain, det, seg]
    nasty = chain(NASTY, 0)
    for record in nasty:
        record.provenance.device = "NVIDIA T4"
    return [*records, *nasty]


@pytest.fixture(scope="module")
def page(records, tmp_path_factory):
    return write_html(build_tables(records, "none"), records, tmp_path_factory.mktemp("plots"))


@pytest.fixture
def drawn(browser, page):
    browser.open(page)
    browser.until("document.querySelectorAll('.course figure').length > 0")
    yield browser
    assert browser.errors == []


def test_every_question_has_its_figure(drawn):
    captions = drawn.js(CAPTIONS)
    for start in (
        "Does it transfer? box AP against pretraining top-1",
        "Does it transfer? mIoU against pretraining top-1",
        "box AP against pretraining top-1",
        "mIoU, difference to none",
        "box AP, difference to none, against cost",
        "Pretraining top-1, difference to none",
        "pretrain: loss over training",
        "pretrain: progressive factor over training",
        "det: box AP over training",
    ):
        assert any(caption.startswith(start) for caption in captions), start
    # The learning rate says nothing of a method: it is among the curves of a row.
    assert not any("learning rate" in caption for caption in captions)
    labels = drawn.js("[...document.querySelectorAll('section figure > svg')].map((node) => node.ariaLabel)")
    cost = next(label for label in labels if "against cost" in label)
    assert "pretrain GPU h 1.0" in cost


def figure(start):
    return (
        "[...document.querySelectorAll('section figure')]"
        f".find((node) => node.querySelector('figcaption').textContent.startsWith({json.dumps(start)}))"
    )


def test_seeds_are_thin_lines_and_many_are_a_span(drawn):
    loss = figure("pretrain: loss")
    assert drawn.js(f"{loss}.querySelectorAll('g').length") == 2
    # MixPro's five seeds are a span and a mean; the two of the baseline, which comes first, are lines beside theirs.
    assert drawn.js(f"{loss}.querySelector('g.line0').querySelectorAll('.seed').length") == 2
    assert drawn.js(f"{loss}.querySelector('g.line1').querySelectorAll('.span').length") == 1
    assert drawn.js(f"{loss}.querySelector('g.line1').querySelectorAll('.seed').length") == 0
    assert drawn.js(f"{loss}.querySelectorAll('.mean').length") == 2 + 2  # and in the legend
    assert drawn.js(f"[...{loss}.querySelectorAll('.legend li')].map((node) => node.textContent)") == ["none", "mixpro"]
    said = drawn.js(f"{loss}.querySelector('svg').ariaLabel")
    found = re.search(r"Last values: none: ([0-9.]+) at 30; mixpro: ([0-9.]+) at 30", said)
    assert float(found[1]) == pytest.approx(2.05, abs=0.01)
    assert float(found[2]) == pytest.approx(2.2, abs=0.01)


def test_a_row_has_the_same_style_in_every_figure(drawn):
    # MixPro alone has a progressive factor, and stays the second row.
    for start, styles in (("pretrain: loss", ["line line0", "line line1"]), ("pretrain: progressive", ["line line1"])):
        groups = f"[...{figure(start)}.querySelectorAll('g.line')].map((node) => node.getAttribute('class'))"
        assert drawn.js(groups) == styles


def test_more_rows_than_styles_share_none_of_a_figure(browser, chain, tmp_path):
    records = []
    for k in range(9):
        for record in chain("none" if k == 0 else f"method {k}"):
            known = record.stage == "pretrain" and (k in (0, 2) or k > 4)
            record.series = {"loss": course(1.0, 2.0)} if known else {"lr": course(1.0, 0.5)}
            records.append(record)
    browser.open(write_html(build_tables(records, "none"), records, tmp_path))
    browser.until("document.querySelectorAll('.course figure').length > 0")
    groups = f"[...{figure('pretrain: loss')}.querySelectorAll('g.line')].map((node) => node.getAttribute('class'))"
    styles = browser.js(groups)
    assert styles[0] == "line line0"
    assert sorted(styles) == [f"line line{k}" for k in range(6)]
    assert browser.errors == []


def test_a_gap_is_no_line(drawn):
    # Both ends of box AP are known, its middle is not: two dots.
    course = figure("det: box AP over")
    assert drawn.js(f"{course}.querySelectorAll('g.line1 circle').length") == 2
    assert "NaN" not in drawn.js("document.getElementById('tables').innerHTML")


def test_every_plot_stays_within_its_frame(drawn):
    outside = drawn.js("""
      [...document.querySelectorAll('section figure > svg')].flatMap((image) => {
        const frame = image.getBoundingClientRect();
        return [...image.querySelectorAll('text, path, circle, line')].filter((node) => {
          const box = node.getBoundingClientRect();
          const room = [box.left - frame.left, frame.right - box.right, box.top - frame.top, frame.bottom - box.bottom];
          return Math.min(...room) < -1;
        }).map((node) => node.outerHTML.slice(0, 120));
      })
    """)
    assert outside == []


def test_a_row_draws_all_its_curves_when_asked_to(drawn):
    drawn.js(
        "[...document.querySelectorAll('.rows tbody button')].find((node) => node.textContent === 'mixpro').click()"
    )
    assert drawn.js("document.querySelectorAll('#detail figure').length") == 0
    drawn.js("document.querySelector('#detail details.course').open = true")
    drawn.until("document.querySelectorAll('#detail figure').length > 0")
    captions = drawn.js("[...document.querySelectorAll('#detail figcaption')].map((node) => node.textContent)")
    assert [caption.split(" (")[0] for caption in captions] == [
        "pretrain: progressive factor", "pretrain: loss", "pretrain: learning rate", "det: box AP"
    ]  # fmt: skip
    assert drawn.js("document.getElementById('detail').scrollWidth <= document.getElementById('detail').clientWidth")


def test_filters_reach_the_plots(drawn):
    drawn.js(
        "(() => { const node = document.getElementById('method'); node.value = 'none';"
        " node.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    drawn.until(f"!{CAPTIONS}.some((text) => text.includes('progressive factor'))")
    assert any(caption.startswith("pretrain: loss") for caption in drawn.js(CAPTIONS))


def test_no_name_becomes_markup(drawn):
    assert NASTY in drawn.js("document.querySelector('.rows').textContent")
    assert drawn.js("document.images.length") == 0
    assert drawn.requests == [drawn.requests[0]]


@pytest.mark.parametrize("width", [390, 1280])
def test_published_numbers_stand_apart(browser, make, tmp_path, width):
    write_record(make(), tmp_path / "runs/record.json")
    assert main(["leaderboard", str(tmp_path / "runs"), "--published", "--html", str(tmp_path / "out")]) == 0
    browser.open(tmp_path / "out/index.html", width)
    sections = "[...document.querySelectorAll('section')]"
    assert browser.js(f"{sections}.map((node) => node.className)") == ["", "published"]
    published = f"{sections}[1]"
    assert "not to be ranked" in browser.js(f"{published}.querySelector('caption').textContent")
    assert browser.js(f"getComputedStyle({published}.querySelector('table')).fontStyle") == "italic"
    marks = browser.js(
        f"[...{published}.querySelectorAll('tbody tr')].map((row) => row.querySelector('.mark').textContent)"
    )
    assert set(marks) == {"published"}
    assert browser.js(f"{published}.querySelectorAll('.gain, figure').length") == 0
    # The whole list comes on demand, and each row names its class and source.
    while browser.js(f"!{published}.querySelector('.more').hidden"):
        browser.js(f"{published}.querySelector('.more').click()")
    assert browser.js(f"{published}.querySelectorAll('tbody tr').length") == len(published_table().rows)
    browser.js(f"{published}.querySelector('tbody button').click()")
    text = browser.js("document.getElementById('detail').textContent")
    assert "Published, not measured here." in text
    assert "official README" in text
    assert "Euphoria16/TL-Align README" in text
    assert "differences" not in text.lower()
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.errors == []


def test_a_thousand_columns(browser, make, tmp_path):
    numbers = {f"coco/metric {k}": 0.5 for k in range(1000)}
    curves = {name: course(0.1, 0.2) for name in numbers}
    wide = make("det", metrics={"coco/bbox_mAP": 0.4, **numbers}, series=curves)
    # A task that nobody knows brings columns of cost of its own.
    tasks = [make("pretrain", seed=0)]
    for k in range(340):
        record = make("det", provenance={"data_fingerprint": f"data-{k}"})
        record.stage = f"task {k} <b>"
        tasks.append(record)
    records = [wide, *tasks]
    tables = build_tables(records)
    assert max(len(table.columns) for table in tables) > 680
    path = write_html(tables, records, tmp_path)
    browser.open(path)
    browser.js("document.getElementById('all').click()")
    assert browser.js("document.querySelector('.rows thead tr').children.length") > 680
    assert browser.js("document.documentElement.scrollWidth") <= 1280
    browser.js("document.querySelector('.rows tbody button').click()")
    assert "coco/metric 999" in browser.js("document.getElementById('detail').textContent")
    assert browser.errors == []


def test_markup_in_any_field_stays_text(browser, chain, tmp_path):
    nasty = []
    for record in chain("none"):
        record.backbone = record.protocol.name = record.method.preset = NASTY
        record.recipe_hash = NASTY[:6]
        record.provenance.device = record.provenance.commit = NASTY
        record.provenance.packages = {NASTY: NASTY}
        record.metrics[NASTY] = 1.0
        record.series = {name: course(1.0, 2.0) for name in ("loss", NASTY)}
        record.deviations = [NASTY]
        record.not_finite = [NASTY]
        record.model_extra[NASTY] = {NASTY: [NASTY]}
        nasty.append(record)
    path = write_html(build_tables(nasty), nasty, tmp_path)
    browser.open(path)
    browser.js("document.getElementById('all').click()")
    browser.until("document.querySelectorAll('figure').length > 0")
    for place in range(browser.js("document.querySelectorAll('.rows tbody button').length")):
        browser.js(f"document.querySelectorAll('.rows tbody button')[{place}].click()")
        browser.js("for (const node of document.querySelectorAll('#detail details')) node.open = true")
        assert NASTY in browser.js("document.getElementById('detail').textContent")
        browser.js("document.getElementById('close').click()")
    assert browser.js("document.images.length") == 0
    assert browser.js("document.scripts.length") == 2
    assert {url for url in browser.requests if not url.startswith("data:")} == {path.resolve().as_uri()}
    assert browser.errors == []
