"""The house style: two themes, one set of sizes, and matplotlib's settings made from them.

The categorical colors are those of Okabe and Ito ("Color Universal Design", 2008), which remain distinguishable under every
common form of color blindness; the dark theme uses lighter shades of the same hues. Shape repeats color: every group of
series also has its own marker.
"""

from dataclasses import dataclass
from typing import Any

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "\\\\", "xx", "||", "++")  # of the regions of a group
PANEL_WIDTH = 4.6  # inches: 9 pt text is then legible on a phone without zooming, and large on a slide
PLOT_HEIGHT = 3.3
TEXT = 9.0
SMALL = 7.5


@dataclass(frozen=True)
class Theme:
    """Colors of the figures; the page's style sheet has the same surface, ink and muted color.

    Args:
        name: `"light"` or `"dark"`.
        surface: background of the figure.
        ink: color of text and axes.
        muted: color of ticks and of theory lines without a group.
        rule: color of grid lines.
        palette: one color per group of series.
        strongest: color of the largest value of a heatmap; the smallest value has the color of the surface.
    """

    name: str
    surface: str
    ink: str
    muted: str
    rule: str
    palette: tuple[str, ...]
    strongest: str


LIGHT = Theme(
    "light",
    "#ffffff",
    "#1b1f24",
    "#59636e",
    "#e4e7eb",
    ("#0072b2", "#d55e00", "#009e73", "#b0559a", "#b87a00", "#3a94d0", "#59636e"),
    "#08519c",
)
DARK = Theme(
    "dark",
    "#161b22",
    "#e6e9ee",
    "#9aa5b1",
    "#2b323b",
    ("#58b0ee", "#ff8f52", "#3ecf9e", "#eb9bd1", "#ffc24a", "#9ad4ff", "#9aa5b1"),
    "#8cc8ff",
)
THEMES = (LIGHT, DARK)

# Variables of the page's style sheet for the colors of a picture inside the page.
VARIABLES = {color: f"--series-{i}" for i, color in enumerate(LIGHT.palette)} | {
    LIGHT.surface: "--surface",
    LIGHT.ink: "--ink",
    LIGHT.muted: "--muted",
    LIGHT.rule: "--grid",
}


def variables() -> str:
    """Returns the rules of the style sheet that define the colors of series and grid lines in both themes.

    A browser without `light-dark()` (before 2024) shows the colors of the light theme.
    """
    names = {f"--series-{i}": i for i in range(len(LIGHT.palette))}
    pairs = {name: (LIGHT.palette[i], DARK.palette[i]) for name, i in names.items()} | {
        "--grid": (LIGHT.rule, DARK.rule)
    }
    light = " ".join(f"{name}: {pair[0]};" for name, pair in pairs.items())
    both = " ".join(f"{name}: light-dark({pair[0]}, {pair[1]});" for name, pair in pairs.items())
    return f":root {{ {light} }}\n@supports (color: light-dark(red, red)) {{ :root {{ {both} }} }}"


def settings(theme: Theme) -> dict[Any, Any]:
    """Returns matplotlib's settings for a theme; text is drawn as outlines, so that it looks the same everywhere."""
    return {
        "svg.fonttype": "path",
        "svg.hashsalt": "taylornets",  # makes the identifiers in the file deterministic
        "svg.image_inline": True,
        "font.family": "DejaVu Sans",  # bundled with matplotlib: the same outlines on every machine
        "font.size": TEXT,
        "mathtext.fontset": "dejavusans",
        "figure.facecolor": theme.surface,
        "savefig.facecolor": theme.surface,
        "axes.facecolor": theme.surface,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.ink,
        "axes.labelsize": TEXT,
        "axes.labelpad": 5.0,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.unicode_minus": True,
        "grid.color": theme.rule,
        "grid.linewidth": 0.7,
        "text.color": theme.ink,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "xtick.labelsize": TEXT - 0.5,
        "ytick.labelsize": TEXT - 0.5,
        "legend.frameon": False,
        "legend.fontsize": TEXT - 0.5,
        "legend.handlelength": 2.0,
        "legend.borderaxespad": 0.0,
        "legend.borderpad": 0.2,
        "legend.columnspacing": 1.6,
        "lines.linewidth": 1.8,
        "lines.markersize": 5.5,
        "lines.dashed_pattern": (4.0, 2.2),
        "errorbar.capsize": 2.5,
        "hatch.linewidth": 0.4,
        "figure.constrained_layout.w_pad": 0.08,
        "figure.constrained_layout.h_pad": 0.08,
    }
