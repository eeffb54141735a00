"""Pages in a real browser: what they show, to whom, and that they ask for nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from motorpool._report.page import document, figure, table

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]  # fmt: skip
PIPELINE = """
import time
from motorpool import node, pipeline as make

def work(x):
    time.sleep(0.02)
    return [x] * 3

def add(*parts):
    return sum(map(sum, parts))

pipeline = make([
    *(node(work, "x", f"y{i}", name=f"work{i}") for i in range(6)),
    node(add, [f"y{i}" for i in range(6)], "total", name="<b>&total"),
])
catalog = {"x": 2}
"""


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """Open a page; it may say nothing on the console, and ask for nothing but itself."""
    contexts, said = [], []

    def visit(path, width=1200, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if request.url !=
                path.as_uri() else None)  # fmt: skip
        page.goto(path.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not said


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A folder with the pages of a bench and of a run."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "tried.py").write_text(PIPELINE)
    for arguments in (
        ["bench", "tried.py", "--backends", "threads,sequential", "-w", "1,2", "--repeat", "2",
         "--html", "bench.html"],
        ["run", "tried.py", "-b", "threads", "-w", "2", "--report", "run.html"],
    ):  # fmt: skip
        command = [sys.executable, "-m", "motorpool", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300,
                       env={**os.environ, "COLUMNS": "80"})  # fmt: skip
    return folder


def test_page_of_a_bench_shows_sentence_table_and_drawings(pages, visit):
    """All that was measured, and where."""
    page = visit(pages / "bench.html")
    assert page.title() == "motorpool bench tried.py"
    assert page.locator(".sentence").inner_text().startswith("Take threads with 2 workers")
    head, *rows = page.locator("table").first.locator("tr").all_inner_texts()
    assert "warm" in head
    assert sorted(row.split("\t")[0] for row in rows) == [
        "sequential, 1", "threads, 1", "threads, 2",
    ]  # fmt: skip
    assert page.locator("figure[data-kind]").count() == 3 + 3
    times = page.locator("figure[data-kind=times] svg")
    assert times.locator("[aria-label=bar] rect").count() == 2 * 3
    scaling = page.locator("figure[data-kind=scaling] svg")
    assert scaling.locator("[aria-label=dot] circle").count() == 3
    assert "the least possible" in scaling.last.text_content()
    about = page.locator("table").last.inner_text()
    assert "motorpool bench tried.py --backends threads,sequential" in about
    for what in ("date", "Python", "cores", "memory"):
        assert what in about


def test_time_line_has_a_row_for_each_worker_and_a_bar_for_each_node(pages, visit):
    """The critical path has frames; what is pointed at is described."""
    page = visit(pages / "bench.html")
    line = page.locator("figure[data-of='threads, 2']")
    bars = line.locator("svg [aria-label=bar]").first.locator("rect")
    assert bars.count() == 7
    assert line.locator("svg [aria-label=bar]").nth(1).locator("rect").count() == 2
    rows = line.locator("[aria-label='y-axis tick label'] text").all_text_contents()
    assert [re.sub(r"\(\d+\)", "", row).strip() for row in rows] == ["worker 1", "worker 2"]
    output = line.locator("output")
    assert output.inner_text() == "Point at a node, or use the arrow keys, for its times."
    bars.nth(0).hover()
    assert re.match(r"work\d \(work\): [\d.]+ ms: call [\d.]+ ms", output.inner_text())
    bars.nth(6).hover(force=True)
    assert output.inner_text().startswith("<b>&total (add): ")
    assert "on the critical path" in output.inner_text()


def test_time_line_can_be_read_with_the_keyboard(pages, visit):
    """Along a row, to another row, to the ends; nothing more is chosen after Escape."""
    page = visit(pages / "run.html")
    line = page.locator("figure.timeline")
    output = line.locator("output")
    for _ in range(20):
        page.keyboard.press("Tab")
        if line.evaluate("figure => figure === document.activeElement"):
            break
    seen = []
    for key in ("ArrowRight", "ArrowRight", "Home", "ArrowDown", "End", "ArrowUp", "Home"):
        page.keyboard.press(key)
        seen.append(output.inner_text())
        assert line.locator("[data-chosen]").count() == 1
    nodes = [re.match(r"(\S+) ", text)[1] for text in seen]
    workers = [re.search(r"on worker (\d)", text)[1] for text in seen]
    assert nodes[0] == nodes[2] == nodes[6] != nodes[1]
    assert workers == ["1", "1", "1", "2", "2", "1", "1"]
    page.keyboard.press("Escape")
    assert line.locator("[data-chosen]").count() == 0


@pytest.mark.parametrize("name", ["bench.html", "run.html"])
@pytest.mark.parametrize("width", [320, 390, 1200])
def test_page_fits_the_screen(pages, visit, name, width):
    """A table that is wider can be scrolled; the page itself need not be."""
    page = visit(pages / name, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for box in page.locator("figure svg").all():
        assert box.bounding_box()["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(pages, visit, scheme):
    """Contrast of 4.5 at least (WCAG 2.2, 1.4.3), in drawings as well."""
    page = visit(pages / "bench.html", color_scheme=scheme)
    ratio = page.evaluate("""() => {
      const level = (text) => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
          .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const paper = level(getComputedStyle(document.body).backgroundColor);
      const texts = [...document.querySelectorAll("p, td, th, figcaption, h1, h2, h3")];
      const drawn = [...document.querySelectorAll("[aria-label$='tick label'] text")];
      return Math.min(...[...texts, ...drawn].map((e) => {
        const style = getComputedStyle(e);
        const ink = level(e instanceof SVGElement ? style.fill : style.color);
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
      }));
    }""")
    assert ratio >= 4.5


def test_page_can_be_printed(pages, visit):
    """In black on white, whatever the screen has."""
    page = visit(pages / "bench.html", color_scheme="dark")
    page.emulate_media(media="print")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(255, 255, 255)"
    assert page.pdf().startswith(b"%PDF")


def test_page_of_a_run_says_what_it_came_to(pages, visit):
    """The summary, times by function, and the longest nodes."""
    page = visit(pages / "run.html")
    tables = page.locator("table").all_inner_texts()
    assert "7 of 7 completed" in tables[0]
    assert re.search(r"^work\t6\t", tables[1], re.MULTILINE)
    assert re.search(r"^<b>&total\t", tables[2], re.MULTILINE)


def test_names_that_look_like_html_end_no_element(tmp_path, visit):
    """In titles, tables, captions and data."""
    nasty = "</script><script>document.title='gone'</script><!--"
    bars = [[nasty, nasty, 0, 0, 0.0, 1.0, 0, 0, 1.0, 0, 0, 10, 1]]
    data = {"timelines": {nasty: {"wall": 1.0, "functions": [nasty], "lanes": [nasty],
                                  "bars": bars}}}  # fmt: skip
    body = [table([nasty], [[nasty]]), figure("timelines", nasty, of=nasty)]
    (tmp_path / "page.html").write_text(document(nasty, body, data))
    page = visit(tmp_path / "page.html")
    assert page.title() == nasty
    assert page.locator("td").inner_text() == nasty
    page.locator("svg [aria-label=bar] rect").first.hover()
    assert page.locator("output").inner_text().startswith(nasty)


def test_page_names_no_address_to_load(pages):
    """Nor any other file: all that it needs is in it."""
    text = (pages / "bench.html").read_text()
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", text)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    assert set(data) == {"times", "scaling", "slower", "timelines"}
    assert Path(pages / "bench.html").stat().st_size < 2_000_000
