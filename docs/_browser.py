"""Opens the pages of the built site in Chromium: errors of the console, contrast, overflow and images without words.

Each page is opened at 360 px in dark colors and at 1440 px in light ones. Playwright drives the Chromium or Chrome of the
machine; without either, `problems` says so and checks nothing.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
VIEWS = ((360, "dark"), (1440, "light"))

# Texts whose contrast with what lies behind them is below WCAG AA (4.5; 3 for large texts). Half-transparent colors are
# blended with what is behind them; texts on pictures and gradients are skipped.
CONTRAST = """() => {
  const channels = (color) => { const c = color.match(/[\\d.]+/g).map(Number); return [...c.slice(0, 3), c[3] ?? 1]; };
  const blended = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]).concat(1);
  const luminance = (color) => {
    const linear = (c) => (c / 255 <= 0.04045 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = color.slice(0, 3).map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (style.backgroundImage !== "none") return null;
      layers.push(channels(style.backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reduceRight((below, top) => blended(top, below), [255, 255, 255, 1]);
  };
  document.querySelectorAll("details").forEach((item) => { item.open = true; });
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const shown = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (!words || !shown || element.closest("script, svg")) continue;
    const ground = behind(element);
    if (ground === null) continue;
    const style = getComputedStyle(element);
    const pair = [blended(channels(style.color), ground), ground].map(luminance);
    const [low, high] = pair.sort((a, b) => a - b);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if ((high + 0.05) / (low + 0.05) < (large ? 3 : 4.5)) found.push(element.textContent.trim().slice(0, 40));
  }
  return found;
}"""

UNNAMED = """() => [...document.querySelectorAll("img, [role=img]")]
  .filter((image) => !image.alt && !image.getAttribute("aria-label") && image.getAttribute("aria-hidden") !== "true")
  .map((image) => (image.getAttribute("src") || image.tagName).slice(0, 40))"""


def browser() -> str | None:
    """The path of Chromium or Chrome."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def problems(pages: Iterable[Path]) -> Iterator[str]:
    """Opens the pages, and yields one line per problem.

    Args:
        pages: HTML files.

    Raises:
        ImportError: without Playwright.
        FileNotFoundError: without Chromium and Chrome.
    """
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # optional

    path = browser()
    if path is None:
        raise FileNotFoundError("neither Chromium nor Chrome is installed")
    files = list(pages)
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for width, scheme in VIEWS:
            context: Any = opened.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            for file in files:
                for problem in _of_page(context, file, width):
                    yield f"{file.name} at {width} px, {scheme}: {problem}"
            context.close()
        opened.close()


def _of_page(context: Any, file: Path, width: int) -> Iterator[str]:
    page, said = context.new_page(), list[str]()
    page.on("console", lambda what: said.append(what.text) if what.type == "error" else None)
    page.on("pageerror", lambda what: said.append(str(what)))
    page.goto(file.resolve().as_uri())
    yield from (f"contrast of {text!r} below AA" for text in page.evaluate(CONTRAST))
    yield from (f"{image} has no words" for image in page.evaluate(UNNAMED))
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        yield f"{wide} px wide"
    yield from (f"console: {text[:120]}" for text in said)
    page.close()
