"""Samples: a finished run with every kind of figure and table, and with strings that try to escape."""

from pathlib import Path

import numpy as np

from taylornets import records
from taylornets.records import (
    ClaimRecord,
    Figure,
    Gallery,
    Heatmap,
    Plot,
    RunRecord,
    Series,
    Stamp,
    Table,
)

HOSTILE = "<script>alert('x')</script> & \"quotes\" {{ 7 * 7 }} </title> $\\frac{$ ^{<b>}"
SHORT = [[2048, 1.5e-5, 'a, "b"', True], [4096, None, "c", False]]
STAMP = Stamp("quick", 3, "0.1.0", "0123abc", True)


def slopes() -> Plot:
    widths = 2.0 ** np.arange(11, 15)
    error = widths**-0.25
    return Plot(
        "width $m$",
        "r.m.s. error (output units)",
        [
            Series("measured", widths, error, error * 0.9, error * 1.1, group="noise"),
            Series("theory: $m^{-1/4}$", widths, error, kind="theory", group="noise"),
            Series("a line with a band", widths, error / 3, error / 4, error / 2, kind="line"),
            Series("a bound", [2048, 16384], [0.01, 0.01], kind="theory"),
        ],
        "log2",
        "log",
        title="Slopes",
    )


def bars() -> Plot:
    models = ["NTK", "quadratic", "full"]
    series = [
        Series("train", models, [1.0, 2.0, 3.0], [0.5, 1.5, 2.5], [1.5, 2.5, 3.5], kind="bars"),
        Series("test", models, [1.5, 2.5, 3.5], kind="bars"),
    ]
    return Plot("model", "error in percent", series)


def confusion() -> Heatmap:
    counts = np.array([[5, 0, 1], [0, 6, 0], [2, 0, 7]])
    digits = ["0", "1", "2"]
    return Heatmap("predicted digit", "true digit", digits, digits, counts / 9, "share of the row", counts)


def gallery() -> Gallery:
    images = np.random.default_rng(0).random((5, 8, 8))
    return Gallery(images, [f"true {i}\nNTK {i + 1}" for i in range(5)])


def coupling() -> ClaimRecord:
    return ClaimRecord(
        claim="coupling",
        title="Coupling",
        statement="The noise decays as m^{-1/4} for all w_r < 1.",
        source="section 2",
        predicted="slope −1/4",
        measured={"slope_of_noise": -0.2471, "worst": float("nan")},
        interval=(-0.26, -0.23),
        holds=True,
        seconds=185.0,
        stamp=STAMP,
        detail={"widths": [2048, 4096], "note": "plain"},
        figures=[
            Figure("slopes", "Slopes", [slopes(), bars()], "Caption of the slopes."),
            Figure("digits", "Digits", [confusion()], "Caption of the digits.", alt="Few digits are confused."),
            Figure("images", "Images", [gallery()], "Caption of the images.", highlight=True),
        ],
        tables=[
            Table("short", "A short table.", ["m", "error", "kind", "ok"], SHORT),
            Table("long", "A long table.", ["i"], [[i] for i in range(30)]),
        ],
        explanation=["Why f^(2) remains.", "And `code` too."],
    )  # fmt: skip


def hostile() -> ClaimRecord:
    plot = Plot(HOSTILE, HOSTILE, [Series(HOSTILE, [1.0], [1.0]), Series("漢字", [2.0], [1.0])], title=HOSTILE)
    return ClaimRecord(
        claim="certificate",
        title=HOSTILE,
        statement=HOSTILE,
        source=HOSTILE,
        predicted=HOSTILE,
        measured={HOSTILE: HOSTILE},
        interval=None,
        holds=False,
        seconds=0.1,
        stamp=STAMP,
        detail={HOSTILE: [HOSTILE]},
        figures=[Figure("hostile", HOSTILE, [plot, Gallery(np.zeros((1, 2, 2)), [HOSTILE])], HOSTILE)],
        tables=[Table("hostile", HOSTILE, [HOSTILE], [[HOSTILE]])],
        explanation=[HOSTILE],
        error=HOSTILE,
    )


def save(directory: Path, claims: list[ClaimRecord], names: list[str] | None = None) -> Path:
    run = RunRecord(
        status="finished",
        stamp=STAMP,
        claims=names or [record.claim for record in claims],
        versions={"python": "3.11", "jax": "0.10"},
        platform="Linux x86_64",
        device="cpu: cpu",
        cpu_count=2,
        modified=True,
        start="2026-01-02T03:04:05+00:00",
        end="2026-01-02T03:05:05+00:00",
    )
    for record in claims:
        records.save_claim(directory, record)
    records.save_run(directory, run)
    return directory
