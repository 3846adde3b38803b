"""Checks the built site: links, images, no network, every public name at most three clicks away, and pages in a browser.

    python docs/_check.py docs/_build/html

Sphinx reports cross references without a target; this reads what it wrote. Problems are printed, and the exit code is 1.
"""

import sys
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

CLICKS = 3
# Elements that load what they name; a link that a reader follows is none of them.
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
# `rel` of links that load nothing.
NAMED = {"canonical", "next", "prev", "index", "search", "genindex", "author"}


class Page(HTMLParser):
    """The links, anchors, loaded files and images of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.unnamed: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects what one element names."""
        given = dict(attrs)
        self.anchors |= {given[name] or "" for name in ("id", "name") if name in given}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if tag in LOADED and given.get(LOADED[tag]) and given.get("rel") not in NAMED:
            self.loaded.append(given[LOADED[tag]] or "")
        if tag == "img" and not given.get("alt"):
            self.unnamed.append(given.get("src") or "")


def resolved(folder: Path, path: Path, target: str) -> tuple[Path, str] | None:
    """The file and the anchor of a target, None for an address outside of the site."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    return (file if file.is_relative_to(folder) else folder / "outside"), unquote(parts.fragment)


def broken(folder: Path, pages: dict[Path, Page]) -> Iterable[str]:
    """Links and files that lead nowhere, files from elsewhere, and images without a text."""
    for path, page in pages.items():
        where = path.relative_to(folder).as_posix()
        for target in page.loaded:
            found = resolved(folder, path, target)
            if found is None and not target.startswith("data:"):
                yield f"{where}: loads {target} from elsewhere"
            elif found is not None and not found[0].exists():
                yield f"{where}: {target} does not exist"
        for target in page.links:
            found = resolved(folder, path, target)
            if found is None:
                continue
            file, anchor = found
            if not file.exists():
                yield f"{where}: the link {target} leads to no page"
            elif anchor and file in pages and anchor not in pages[file].anchors:
                yield f"{where}: the link {target} leads to no anchor"
        yield from (f"{where}: {image} has no alternative text" for image in page.unnamed)


def distances(folder: Path, pages: dict[Path, Page]) -> dict[Path, int]:
    """The number of clicks from the front page to each page."""
    start = folder / "index.html"
    found, waiting = {start: 0}, [start]
    while waiting:
        path = waiting.pop(0)
        for target in pages[path].links:
            place = resolved(folder, path, target)
            if place is not None and place[0] in pages and place[0] not in found:
                found[place[0]] = found[path] + 1
                waiting.append(place[0])
    return found


def far(folder: Path, pages: dict[Path, Page], names: Iterable[str]) -> Iterable[str]:
    """Public names without an entry, or more than three clicks away from the front page."""
    clicks = distances(folder, pages)
    for name in names:
        entries = {name, f"module-{name}"}  # as Sphinx names the anchors of objects and of rooms
        least = min(
            (clicks.get(path, CLICKS + 1) for path, page in pages.items() if entries & page.anchors), default=None
        )
        if least is None:
            yield f"{name} has no entry in the reference"
        elif least > CLICKS:
            yield f"{name} is more than {CLICKS} clicks away"


def problems(folder: Path, names: Iterable[str] = ()) -> list[str]:
    """All problems of the site in a folder."""
    folder = folder.resolve()
    pages = {path: Page(path) for path in sorted(folder.rglob("*.html"))}
    return [*broken(folder, pages), *far(folder, pages, names)]


def main(folder: str) -> int:
    """Prints the problems."""
    import _browser  # noqa: PLC0415  # in the same folder, as the next; the functions above need neither
    import _reference  # noqa: PLC0415

    names = sorted(set(_reference.targets().values()))
    found = problems(Path(folder), names)
    pages = [path for path in sorted(Path(folder).rglob("*.html")) if "_static" not in path.parts]
    seen = "contrast, width and console in order"
    try:
        found += _browser.problems(pages)
    except (ImportError, FileNotFoundError) as error:
        seen = f"not opened in a browser ({error})"
    print(
        "\n".join(found)
        or f"{folder}: links, images and {len(names)} public names are in order; {len(pages)} pages: {seen}"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
