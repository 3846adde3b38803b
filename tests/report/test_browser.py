"""The page in a browser: no error, no overflow, readable colors, values by mouse and keyboard, hostile names as text.

Playwright drives the Chromium or Chrome of the machine; without either, the tests are skipped.
"""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_samples import HOSTILE

playwright: Any = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
SITE = Path(__file__).parents[2] / "docs" / "_browser.py"  # the checks of the site
SHARED = runpy.run_path(str(SITE))
BROWSER, CONTRAST = SHARED["browser"](), SHARED["CONTRAST"]
pytestmark = pytest.mark.skipif(BROWSER is None, reason="neither Chromium nor Chrome is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def opened(browser: Any, report: Path) -> Iterator[Any]:
    """Opens the page with the given settings; everything that a console or a dialog says is an error."""
    contexts: list[Any] = []
    said: list[str] = []

    def open_page(width: int = 1440, **settings: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        for event in ("console", "pageerror", "dialog"):
            page.on(event, lambda what: said.append(str(what)))
        page.goto(report.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def page(opened: Any) -> Any:
    return opened()


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1440, "light")])
def test_no_overflow_and_readable_colors(opened: Any, width: int, scheme: str):
    page = opened(width, color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []  # also opens everything that is folded
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.add_style_tag(content=".muted, figcaption { color: #808890 !important; }") if scheme == "light" else None
    assert bool(page.evaluate(CONTRAST)) == (scheme == "light")  # the negative control


def test_landmarks_skip_link_and_words_for_every_figure(page: Any):
    for role in ("banner", "main"):
        assert page.get_by_role(role).count() == 1
    pictures = page.get_by_role("img")
    assert pictures.count() == 6
    names = [picture.get_attribute("alt") or picture.get_attribute("aria-label") for picture in pictures.all()]
    assert all(names)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_values_by_keyboard_and_mouse(page: Any):
    slider = page.locator("svg.marks[data-label^='Slopes: plot of r.m.s.']")
    tip = page.locator(".tip")
    assert slider.get_attribute("role") == "slider"
    assert not tip.is_visible()
    slider.focus()
    page.keyboard.press("End")
    page.keyboard.press("Home")
    # 2048^(-1/4), with the ends 10 % below and above.
    words = ["measured", "width m: 2048", "r.m.s. error (output units): 0.1487 [0.1338, 0.1635]"]
    assert tip.inner_text().split("\n") == words
    assert slider.get_attribute("aria-valuetext") == "; ".join(words)
    page.keyboard.press("ArrowRight")
    assert "width m: 4096" in tip.inner_text()
    page.keyboard.press("ArrowDown")
    assert "a line with a band\nwidth m: 4096" in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    slider.scroll_into_view_if_needed()
    spot = slider.locator("circle").nth(1).bounding_box()
    page.mouse.move(spot["x"] + spot["width"] / 2, spot["y"] + spot["height"] / 2)
    tip.wait_for(state="visible", timeout=5000)
    box = tip.bounding_box()
    assert 0 <= box["x"] <= box["x"] + box["width"] <= 1440
    corner = slider.bounding_box()
    page.mouse.move(corner["x"] + 2, corner["y"] + 2)  # far from every value
    tip.wait_for(state="hidden", timeout=5000)


def test_series_are_hidden_and_shown(page: Any):
    figure = page.locator("figure", has=page.locator("svg.drawing[aria-label^='Slopes: plot of r.m.s.']"))
    button = figure.get_by_role("button", name="a line with a band")
    parts = figure.locator("[data-series='1']")
    assert parts.first.is_visible()
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert not any(part.is_visible() for part in parts.all())
    assert figure.locator("[data-series='0']").first.is_visible()
    button.press("Enter")
    assert parts.first.is_visible()


def test_tables_are_sorted_and_filtered(page: Any):
    page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
    table = page.get_by_role("table", name="A long table.")
    header = table.get_by_role("columnheader", name="i")

    def shown() -> list[int]:
        return [int(text) for text in table.locator("tbody tr:visible td").all_inner_texts()]

    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert shown() == [*range(29, -1, -1)]
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") is None
    assert shown() == [*range(30)]
    box = page.locator("details", has=table).get_by_role("searchbox")
    box.fill("7")
    assert shown() == [7, 17, 27]
    assert "3 of 30 rows" in page.locator("details", has=table).inner_text()
    box.fill("")
    assert len(shown()) == 30


def test_numbers_are_sorted_as_numbers_and_missing_values_last(page: Any):
    """The values of the heatmap: 5/9, 0, 1/9, ..., whose texts begin with other digits than those of the numbers."""
    page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
    table = page.get_by_role("table", name="Values: Slopes").first
    header = table.get_by_role("columnheader", name="lower end")
    header.get_by_role("button").click()
    texts = table.locator("tbody tr").evaluate_all("rows => rows.map(row => row.cells[3].textContent)")
    given = [float(text) for text in texts if text != "–"]
    assert given == sorted(given)
    assert texts[len(given) :] == ["–"] * 6  # the theory line and the bound have no intervals


def test_page_is_complete_without_javascript(opened: Any, page: Any):
    plain = opened(java_script_enabled=False)
    plain.locator("summary").evaluate_all("items => items.forEach((item) => item.click())")
    page.locator("summary").evaluate_all("items => items.forEach((item) => item.click())")
    for name in ("button", "searchbox", "slider"):
        assert plain.get_by_role(name).count() == 0
        assert page.get_by_role(name).count() > 0  # the control
    words = {
        tag: [" ".join(text.split()) for text in plain.locator(tag).all_text_contents()] for tag in ("td", "p", "dd")
    }
    for tag, texts in words.items():
        assert texts == [" ".join(text.split()) for text in page.locator(tag).all_text_contents()]
    title = plain.locator("svg.marks circle title").first.text_content()
    assert title.startswith("measured\nwidth m: 2048\n")
    assert plain.locator("td", has_text="a line with a band").first.is_visible()


def test_hostile_names_are_text(opened: Any, page: Any):
    spot = page.locator("svg.marks[data-label*='alert']").first
    spot.focus()
    page.keyboard.press("Home")
    lines = page.locator(".tip").inner_text().split("\n")
    assert lines == [HOSTILE, f"{HOSTILE}: 1", f"{HOSTILE}: 1"]
    assert HOSTILE in spot.get_attribute("data-label")
    assert page.locator("script").count() == 1
    assert page.locator("b").count() == 0
    page.locator("summary").evaluate_all("items => items.forEach((item) => item.click())")
    shown = HOSTILE.replace("^{<b>}", "<b>")  # in sentences and cells, an exponent
    assert shown in page.get_by_role("cell", name="{{ 7 * 7 }}").first.inner_text()


def test_no_other_script_runs(browser: Any, report: Path):
    """The control of the test above: markup that got into the page would not run either."""
    page = browser.new_page()
    page.goto(report.as_uri())
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); }"
    )
    assert page.evaluate("window.ran") is None
    page.close()


def test_paper_is_light_and_without_controls(opened: Any):
    page = opened(color_scheme="dark")
    assert page.locator(".toggles").first.is_visible()
    page.emulate_media(media="print")
    for name in (".toggles", ".skip", ".theme", ".filter"):
        assert not any(item.is_visible() for item in page.locator(name).all())
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink')") == "#1b1f24"
