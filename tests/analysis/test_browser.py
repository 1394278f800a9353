"""The report in a real browser: it asks for nothing, its console stays empty, and it fits a phone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from analysis import report
from tests.analysis.chromium import NAMES, browser, visit
from tests.fake_sweep import build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser() is None, reason=f"none of {', '.join(NAMES)} is installed"),
]

MEASURE = """<!DOCTYPE html><body style="margin:0"><iframe src="%s" style="border:0;width:%dpx;height:5000px"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => setTimeout(() => {
  const page = frame.contentDocument, meet = [];
  for (const plot of page.querySelectorAll(".js-plotly-plot")) {
    for (const axis of ["xtick", "x2tick", "x3tick"]) {
      const words = [...plot.querySelectorAll(`.${axis} text`)].map(text => [text.textContent,
        text.getBoundingClientRect()]).filter(([word]) => word);
      words.forEach(([a, p], i) => words.slice(i + 1).forEach(([b, q]) => {
        if (p.right + 2 > q.left && q.right + 2 > p.left && p.bottom > q.top && q.bottom > p.top)
          meet.push(`${plot.id}: ${a} and ${b}`);
      }));
    }
  }
  const root = page.documentElement, plots = page.querySelectorAll(".main-svg").length;
  const found = {wide: root.scrollWidth, room: root.clientWidth, plots, meet};
  document.title = JSON.stringify(found);
}, 3000);
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with all that may be in one."""
    folder = tmp_path_factory.mktemp("page") / "sweep"
    return report.write(
        build(
            folder,
            points=20,
            epochs=4,
            evaluations_per_epoch=2,
            embedded=False,
            dev_rows=200,
            hand=("p15",),
            seeds={"p03": 3, "ft": 2},
            recipe="published",
            settings=True,
            teacher_layers=12,
            layers=6,
            confirmed=5,
            top=3,
        )
    )


def test_no_request_and_an_empty_console(page: Path, tmp_path: Path) -> None:
    found = visit(page, tmp_path)
    assert found.requests == []
    assert found.console == []
    assert found.html.count("js-plotly-plot") > 10


BAD = {
    "style": ('<link rel="stylesheet" href="http://127.0.0.1:9/a.css">', r"http://127\.0\.0\.1:9/a\.css"),
    "image": ('<img src="https://example.org/a.png">', r"https://example\.org/a\.png"),
    "frame": ('<iframe src="https://example.org/a"></iframe>', r"https://example\.org/a"),
    "script": ("<script>fetch('https://example.org/b').catch(() => 0)</script>", r"https://example\.org/b"),
    "preconnect": ('<link rel="preconnect" href="https://example.org">', r"https://.+"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_request_would_be_seen(what: str, tmp_path: Path) -> None:
    markup, address = BAD[what]
    file = tmp_path / "bad.html"
    file.write_text(f"<!DOCTYPE html><html><head></head><body>{markup}</body></html>")
    assert any(re.fullmatch(address, request) for request in visit(file, tmp_path).requests)


@pytest.mark.parametrize(
    ("script", "words"), [("console.error('broken')", "broken"), ("missing()", "Uncaught ReferenceError")]
)
def test_a_console_error_would_be_seen(script: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    file.write_text(f"<!DOCTYPE html><html><body><script>{script}</script></body></html>")
    found = visit(file, tmp_path)
    assert [words in line for line in found.console] == [True]
    assert found.requests == []


def measured(page: Path, width: int, scratch: Path) -> dict[str, Any]:
    """How wide a page gets in a frame of `width` pixels, of which its bar takes some, and which ticks meet there."""
    frame = scratch / "frame.html"
    frame.write_text(MEASURE % (page.resolve().as_uri(), width))
    title = re.search("<title>(.*?)</title>", visit(frame, scratch, "--allow-file-access-from-files").html)
    assert title is not None
    return dict(json.loads(title[1]))


@pytest.mark.parametrize("width", [400, 1380])
def test_it_fits_and_its_ticks_keep_apart(page: Path, width: int, tmp_path: Path) -> None:
    found = measured(page, width, tmp_path)
    assert found["plots"] > 10
    # A high frame, which needs a bar only once the figures are there; they may not be drawn as if there were none.
    assert found["wide"] <= found["room"] < width
    assert found["meet"] == []


def test_what_does_not_fit_would_be_seen(page: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.html"
    narrow = '<p style="white-space:nowrap">' + "word " * 80 + "</p></main>"
    text = page.read_text(encoding="utf-8").replace("</main>", narrow)
    # The ticks of one axis in one place.
    text, changed = re.subn(r'"tickvals":\[1(\.0)?,3(\.0)?,7(\.0)?\]', '"tickvals":[3,3.01,3.02]', text)
    assert changed == 1
    wide.write_text(text, encoding="utf-8")
    found = measured(wide, 400, tmp_path)
    assert found["wide"] > found["room"]
    assert found["meet"]
