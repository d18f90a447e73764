"""The page, in a real headless Chromium that is spoken to over its debugging pipe."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest

from mixpro_bench.cli.main import main
from mixpro_bench.leaderboard import write_record
from mixpro_bench.leaderboard.page import to_html, write_html
from mixpro_bench.leaderboard.table import build_tables

NASTY = "</script><img src=x onerror=alert(1)>混合"


@pytest.fixture(scope="module")
def records(make, chain):
    """Two seeds of a baseline and of MixPro, one of a method with a nasty name and a dirty tree, one from scratch."""
    records = []
    for seed in (0, 1):
        for method, shift in (("none", 0), ("mixpro", 2)):
            pretrain, det, seg = chain(method, seed)
            pretrain.metrics["top1"] = 80.0 + shift + seed
            det.metrics["coco/bbox_mAP"] = 0.40 + 0.01 * shift + 0.02 * seed
            seg.metrics["mIoU"] = 50.0 + shift * (1 + 0.1 * seed) - seed
            records += [pretrain, det, seg]
    nasty = chain(NASTY, 0)
    nasty[0].provenance.dirty = True
    nasty[1].metrics["coco/bbox_mAP"] = 0.31
    return [*records, *nasty, make("det", "scratch", backbone="swin")]


@pytest.fixture(scope="module")
def page(records, tmp_path_factory):
    return write_html(build_tables(records, "none"), records, tmp_path_factory.mktemp("page"))


FIRST = "document.querySelector('.rows')"
METHODS = f"[...{FIRST}.querySelectorAll('tbody tr th button')].map((node) => node.textContent)"
BOX_AP = "[...document.querySelectorAll('thead th')].find((node) => node.textContent === 'box AP')"


def type_into(browser, name, value, kind="input"):
    browser.js(
        f"(() => {{ const node = document.getElementById('{name}'); node.value = {json.dumps(value)};"
        f" node.dispatchEvent(new Event('{kind}', {{bubbles: true}})); }})()"
    )


def test_document_is_whole_and_repeatable(records):
    text = to_html(build_tables(records), records)
    assert text == to_html(build_tables(records), records)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "onerror" not in text
    packed = re.search(r'id="data">([A-Za-z0-9+/=]+)</script>', text)[1]
    assert len(json.loads(gzip.decompress(base64.b64decode(packed)))["records"]) == len(records)


def test_command_writes_the_page(make, tmp_path, capsys):
    write_record(make(), tmp_path / "runs/record.json")
    assert main(["leaderboard", str(tmp_path / "runs"), "--html", str(tmp_path / "out")]) == 0
    assert f"written: {tmp_path}/out/index.html" in capsys.readouterr().out
    assert (tmp_path / "out/index.html").read_text().startswith("<!doctype html>")


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_opens_without_errors_or_requests_and_fits(browser, page, width):
    browser.open(page, width)
    browser.until("document.querySelectorAll('figure svg').length > 0")
    assert set(browser.js(METHODS)) >= {"none", "mixpro", NASTY}
    assert browser.js("document.images.length") == 0
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert {url for url in browser.requests if not url.startswith("data:")} == {page.resolve().as_uri()}
    assert browser.errors == []


@pytest.mark.browser
def test_sorts_by_mouse_and_keyboard(browser, page):
    browser.open(page)
    browser.js(f"{BOX_AP}.id = 'boxap'")
    browser.click("#boxap button")
    assert browser.js("document.getElementById('boxap').ariaSort") == "descending"
    down = browser.js(METHODS)
    assert down.index("mixpro") < down.index("none") < down.index(NASTY)
    browser.js("document.querySelector('#boxap button').focus()")
    browser.press("Enter")
    assert browser.js("document.getElementById('boxap').ariaSort") == "ascending"
    up = browser.js(METHODS)
    assert up.index(NASTY) < up.index("none") < up.index("mixpro")
    assert browser.js("document.querySelectorAll('[aria-sort]').length") == 1
    assert browser.errors == []


@pytest.mark.browser
def test_filters(browser, page):
    browser.open(page)
    type_into(browser, "method", "mixpro")
    assert browser.js(METHODS) == ["mixpro"]
    browser.click("#filters button[type=reset]")
    browser.until(f"{METHODS}.length > 2")
    type_into(browser, "backbone", "swin")
    assert browser.js(METHODS) == ["scratch"]
    type_into(browser, "backbone", "")
    type_into(browser, "protocol", browser.js("document.getElementById('protocol').options[1].value"))
    assert browser.js("!!document.querySelector('section:not([hidden])')")
    type_into(browser, "protocol", "")
    type_into(browser, "text", "MixPro vit")
    assert browser.js(METHODS) == ["mixpro"]
    type_into(browser, "text", "nothing like it")
    assert "none of" in browser.js("document.getElementById('count').textContent")
    assert browser.js("[...document.querySelectorAll('section')].every((node) => node.hidden)")
    assert browser.errors == []


@pytest.mark.browser
def test_a_row_opens_to_its_runs_and_what_differs(browser, page):
    browser.open(page)
    browser.js(f"[...{FIRST}.querySelectorAll('tbody tr')].find((r) => r.textContent.startsWith('mixpro')).id = 'row'")
    browser.js("document.querySelector('#row button').focus()")
    browser.press("Enter")
    assert browser.js("document.getElementById('detail').open")
    text = browser.js("document.getElementById('detail').textContent")
    assert "Runs (6)" in text
    assert "recipe-det" in text
    assert browser.js("[...document.querySelectorAll('#detail td')].some((node) => node.textContent === 'mixpro0')")
    # Two seeds of both: there is a difference to the baseline and an interval of it.
    assert "difference to none" in text
    assert browser.js("document.getElementById('other').selectedOptions[0].textContent") == "none, vit (baseline)"
    browser.press("Escape")
    browser.until("!document.getElementById('detail').open")
    assert browser.js("document.activeElement.textContent") == "mixpro"
    assert browser.errors == []


@pytest.mark.browser
def test_a_click_opens_a_marked_row_and_says_what_the_mark_means(browser, page):
    browser.open(page)
    assert browser.js(f"{FIRST}.querySelector('.mark').textContent") == "dirty"
    browser.js(f"{FIRST}.querySelector('.mark').closest('tr').id = 'marked'")
    browser.click("#marked td:last-child")
    assert browser.js("document.getElementById('detail-title').textContent") == NASTY
    text = browser.js("document.getElementById('detail').textContent")
    assert "dirty: the code had changes" in text
    assert "One pretraining seed" in text
    assert browser.js("document.querySelector('#marked td:nth-of-type(2)').textContent") == "1 seed"
    assert browser.errors == []


@pytest.mark.browser
def test_structure_a_screen_reader_needs(browser, page):
    browser.open(page)
    browser.until("document.querySelectorAll('figure svg').length > 0")
    assert browser.js("[...document.querySelectorAll('.rows')].every((node) => node.caption.textContent.length > 10)")
    assert browser.js("[...document.querySelectorAll('th')].every((node) => ['row', 'col'].includes(node.scope))")
    assert browser.js("[...document.querySelectorAll('svg')].every((node) => node.ariaLabel.length > 30)")
    assert browser.js("[...document.querySelectorAll('select, input')].every((node) => node.labels.length === 1)")
    # From the top, the keyboard reaches the skip link, the filters in order, and then the first table.
    seen = []
    for _ in range(10):
        browser.press("Tab")
        seen.append(browser.js("(({id, className, type}) => id || className || type)(document.activeElement)"))
    assert seen[:8] == ["skip", "text", "backbone", "method", "protocol", "all", "reset", "scroll"]


# The contrast of WCAG 2 between every text and what is painted behind it.
CONTRAST = """
(() => {
  const channels = (text) => text.match(/[0-9.]+/g).map(Number);
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => c.slice(0, 3).map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let worst = [99, ''];
  for (const node of document.querySelectorAll('body *')) {
    const texts = [...node.childNodes].filter((one) => one.nodeType === 3 && one.data.trim());
    if (!texts.length || !node.getClientRects().length) continue;
    let ground = node;
    while (ground && (channels(getComputedStyle(ground).backgroundColor)[3] === 0)) ground = ground.parentElement;
    const style = getComputedStyle(node);
    const [a, b] = [light(channels(node.closest('svg') ? style.fill : style.color)),
      light(ground ? channels(getComputedStyle(ground).backgroundColor) : [255, 255, 255])].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < worst[0]) worst = [contrast, node.outerHTML.slice(0, 200)];
  }
  return worst;
})()
"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser, page, scheme):
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(page)
    browser.until("document.querySelectorAll('figure svg').length > 0")
    contrast, where = browser.js(CONTRAST)
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert contrast >= 4.5, where
