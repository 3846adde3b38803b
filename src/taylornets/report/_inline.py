"""Pictures inside the page: an SVG of matplotlib as part of the document, in the colors of the page's theme."""

import re
from collections.abc import Sequence

from markupsafe import Markup

from taylornets.report._style import VARIABLES

_COLOR = re.compile("|".join(map(re.escape, VARIABLES)))
# matplotlib draws text as outlines; the only texts of the data in its files are comments.
_REMOVED = re.compile(r"<\?xml.*?\?>|<!--.*?-->|<style.*?</style>", re.DOTALL)
_ROOT = re.compile(r"<svg[^>]*?viewBox=\"([\d. ]+)\"[^>]*>")


def view_box(svg: str) -> str:
    """Returns the coordinates of a picture, as an attribute of SVG."""
    found = _ROOT.search(svg)
    if found is None:
        raise ValueError("a picture without a view box")
    return found[1]


def inlined(svg: str, name: str, label: str, keys: Sequence[int]) -> Markup:
    """Prepares a picture drawn in the light theme for the page.

    Args:
        svg: text of the file.
        name: prefix of its identifiers, unique on the page.
        label: alternative text.
        keys: key of each series; see `_values.groups`.

    Returns:
        An element whose colors are variables of the style sheet, so that one picture serves both themes.
    """
    box = view_box(svg)
    svg = _REMOVED.sub("", svg)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'data-(series|legend)="(\d+)"', lambda found: f'data-{found[1]}="{keys[int(found[2])]}"', svg)
    svg = _COLOR.sub(lambda found: f"var({VARIABLES[found[0]]})", svg)
    root = Markup('<svg class="drawing" viewBox="{}" role="img" aria-label="{}">').format(box, label)
    return Markup(
        re.sub(r"\s*\n\s*", "\n", _ROOT.sub(lambda _: str(root), svg, count=1)).strip()
    )  # no text of the data
