"""The report is one file that fetches nothing, escapes what it shows, and comes out the same from the same records."""

import base64
import csv
import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest
from report_samples import HOSTILE, SHORT, bars, coupling, hostile, save

from taylornets import ArgumentError, records
from taylornets.records import Figure, PageRecord, Plot, Section, Series, Table
from taylornets.records.progress import NoProgress
from taylornets.report import write_report
from taylornets.report._style import VARIABLES

VOID = {"meta", "img", "input", "br", "hr", "link"}


class Reader(HTMLParser):
    """Collects tags with their attributes, the text, and tags that are not properly closed."""

    def __init__(self):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.problems: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(tag)

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    return reader


@pytest.fixture(scope="session")
def page(report: Path) -> Reader:
    return read(report)


def script() -> str:
    return resources.files("taylornets.report").joinpath("templates/page.js").read_text(encoding="utf-8")


def test_html_is_well_formed(page: Reader):
    assert page.problems == []
    assert page.open == []
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    links = [str(attributes["href"]) for attributes in page.all("a")]
    assert links
    assert all(link.startswith("#") and link[1:] in identifiers for link in links)


def test_page_fetches_nothing(page: Reader, finished: Path):
    assert {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "base"} == set()
    for tag, attributes in page.tags:
        for key, value in attributes.items():
            if key in ("src", "srcset", "href", "data", "poster", "action", "background", "xlink:href"):
                assert str(value).startswith("data:image/svg+xml;base64," if tag == "img" else "#")
            elif "url(" in str(value) and "<script>" not in str(value):
                assert re.fullmatch(r"url\(#[\w-]+\)", str(value))
    style = (finished / "report.html").read_text().split("<style>")[1].split("</style>")[0]
    assert not re.search(r"url\(|@import|https?:", style)
    policy = next(item["content"] for item in page.all("meta") if item.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_the_only_script_is_that_of_the_package(page: Reader, report: Path):
    assert page.all("script") == [{}]
    text = report.read_text(encoding="utf-8")
    assert text.count("<script") == 1
    assert text.split("<script>")[1].split("</script>")[0] == script()
    # It sets texts as texts and runs no text as a program.
    doubtful = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|import\(|fetch\(|Http"
    assert not re.search(doubtful, script())


def test_embedded_pictures_fetch_nothing(page: Reader):
    for image in page.all("img"):
        svg = base64.b64decode(str(image["src"]).split(",", 1)[1]).decode()
        assert not re.findall(r"(?:href|src)=\"(?!#|data:)[^\"]*\"", svg)
        assert "<script" not in svg


def test_page_tells_everything_in_order(page: Reader):
    record = coupling()
    parts = [
        "1 of 2", "Summary", "slope −1/4", "−0.2471", "[−0.26, −0.23]", "✓ holds", "3 min 05 s",
        "Theory predicts", record.source, "Measured", "Caption of the slopes.", "Why f (2) remains.", "A short table.",
        "! failed", "Reproducibility", "0123abc with uncommitted changes", "64 bits", "2026-01-02 03:04:05 UTC",
    ]  # fmt: skip
    text = re.sub(r"\s+", " ", page.text)
    for part in parts:
        assert part in text
    places = [text.index(part) for part in ("Summary", "Caption of the images.", "Theory predicts", "Reproducibility")]
    assert places == sorted(places)


def test_main_figure_is_the_marked_one_and_shown_once(page: Reader):
    assert page.text.count("Caption of the images.") == 1
    assert page.text.index("Caption of the images.") < page.text.index("Theory predicts")


def test_every_picture_has_words_and_both_themes(page: Reader):
    images = page.all("img")
    assert [image["class"] for image in images] == ["on-light", "on-dark"] * 3
    assert all(image["alt"] for image in images)
    assert "Few digits are confused." in {image["alt"] for image in images}
    drawings = [item for item in page.all("svg") if item["class"] == "drawing"]
    assert [item["role"] for item in drawings] == ["img"] * 3
    assert all(item["aria-label"] for item in drawings)
    assert str(drawings[0]["aria-label"]).startswith(
        "Slopes: plot of r.m.s. error (output units) over width m: measured;"
    )


def test_drawings_in_the_page_have_the_colors_of_its_theme(report: Path):
    drawings = re.findall(r'<svg class="drawing".*?</svg>', report.read_text(encoding="utf-8"), re.DOTALL)
    assert len(drawings) == 3
    for drawing in drawings:
        assert not re.search(f"#(?:{'|'.join(color[1:] for color in VARIABLES)})", drawing)
        assert "var(--series-0)" in drawing
        assert "<!--" not in drawing


def test_values_lie_on_the_points_of_the_drawing(report: Path):
    """matplotlib draws the markers of the first series with `<use>`; the places of the values are computed separately."""
    text = report.read_text(encoding="utf-8")
    drawing = text[text.index('aria-label="Slopes: plot of') :].split("</svg>")[0]
    marks = text[text.index('data-label="Slopes: plot of') :].split("</svg>")[0]
    series = drawing.split('<g data-series="0">')
    drawn = [
        place for part in series for place in re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"', part.split("</g>")[0])
    ]
    found = re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="6" data-key="0"><title>measured', marks)
    assert len(found) == 4
    for x, y in found:
        assert any(abs(float(x) - float(u)) < 0.11 and abs(float(y) - float(v)) < 0.11 for u, v in drawn)


def test_values_of_a_figure_are_a_table(page: Reader):
    for part in ("measured", "theory: m −1/4", "lower end", "Values: Slopes", "share of the row"):
        assert part in page.text
    assert "measured 2048 0.1487 0.1338 0.1635" in page.text


def test_page_is_for_phones_paper_and_both_themes(page: Reader, finished: Path):
    text = (finished / "report.html").read_text()
    assert "prefers-color-scheme: dark" in text
    assert ":root:has(#theme-dark:checked)" in text
    assert "@media print" in text
    assert any(item.get("content") == "width=device-width, initial-scale=1" for item in page.all("meta"))
    assert [item["id"] for item in page.all("input")] == ["theme-auto", "theme-light", "theme-dark"]


def test_table_is_a_table(page: Reader):
    assert len(page.all("table")) == 4 + 4  # those of the records, and the values of the plots and of the heatmap
    assert all("scope" in attributes for attributes in page.all("th"))
    assert "30 rows" in page.text


def test_hostile_strings_are_shown_not_run(page: Reader, finished: Path):
    text = (finished / "report.html").read_text()
    assert text.count("<script") == 1  # the script of the page
    assert "49" not in [word.strip() for word in page.words]  # {{ 7 * 7 }} is text, not a template
    assert page.text.count("<script>alert('x')</script>") >= 8
    assert "{{ 7 * 7 }}" in page.text
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)


def test_same_records_same_bytes(finished: Path, page: Reader, tmp_path: Path):
    again = tmp_path / "again"
    shutil.copytree(finished, again)
    for name in ("report.html", "claims.json"):
        (again / name).unlink()
    write_report(again)
    names = sorted(path.relative_to(finished) for path in finished.rglob("*") if path.is_file())
    assert sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file()) == names
    assert all((again / name).read_bytes() == (finished / name).read_bytes() for name in names)


def test_artifacts_of_the_contract(finished: Path, page: Reader):
    figures = [path.name for path in sorted((finished / "figures").iterdir())]
    assert figures == ["certificate_hostile.svg", "coupling_digits.svg", "coupling_images.svg", "coupling_slopes.svg"]
    tables = [path.name for path in sorted((finished / "tables").iterdir())]
    assert tables == ["certificate_hostile.csv", "coupling_long.csv", "coupling_short.csv"]
    with (finished / "tables" / "coupling_short.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["m", "error", "kind", "ok"], ["2048", "1.5e-05", 'a, "b"', "True"], ["4096", "", "c", "False"]]
    assert [item["claim"] for item in json.loads((finished / "claims.json").read_text())] == ["coupling", "certificate"]


def test_what_is_no_longer_recorded_is_removed(tmp_path: Path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "old.svg").write_text("old")
    save(tmp_path, [hostile()])
    write_report(tmp_path)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["certificate_hostile.svg"]


def test_unfinished_run_says_what_is_missing(tmp_path: Path):
    save(tmp_path, [hostile()], names=["coupling", "certificate"])
    text = read(write_report(tmp_path)).text
    assert "This run is unfinished. Not computed yet: coupling." in text


def controlled(fails: bool) -> records.ClaimRecord:
    control = {
        "setting": "The signs are left out.",
        "predicted": "slope 0",
        "measured": {"slope_of_noise": -0.0031},
        "fails": fails,
    }
    return replace(hostile(), error="", holds=fails, detail={"negative_control": control, "draws": 3})


def test_negative_control_that_fails_is_shown(tmp_path: Path):
    save(tmp_path, [controlled(True), coupling()])  # records of earlier versions have no control
    found = read(write_report(tmp_path))
    for part in (
        "1 of 1 failed as predicted",
        "The signs are left out.",
        "slope 0",
        "−0.0031",
        "Failed, as the theory predicts.",
    ):
        assert found.text.count(part) == 1
    assert "negative control:" not in found.text.lower()  # not once more among the details
    assert found.text.count("Negative control") == 1
    assert {"class": "outcome holds"} in found.all("p")
    assert "draws 3" in found.text


def test_negative_control_that_does_not_fail_is_red(tmp_path: Path):
    save(tmp_path, [controlled(False)])
    found = read(write_report(tmp_path))
    assert "Did not fail: the claim is not confirmed." in found.text
    assert "0 of 1 failed as predicted" in found.text
    assert {"class": "outcome broken"} in found.all("p")
    assert {"class": "headline broken"} in found.all("dl")


def test_page_of_a_fit_has_the_same_parts(tmp_path: Path):
    sections = [
        Section(
            "data", "The data", ["Rows of f^(2)."], {"file": "a.csv"}, [Figure("bars", "Bars", [bars()], "A caption.")]
        ),
        Section("model", "The model", tables=[Table("short", "A short table.", ["m", "error", "kind", "ok"], SHORT)]),
    ]
    record = PageRecord(
        "fit", HOSTILE, "It fits.", {"R²": 0.9}, sections, {"seed": 0}, "taylornets fit a.csv", ["The end."]
    )
    records.save_page(tmp_path, record)
    records.save_page_run(tmp_path, "fit", {"version": "0.1.0"})
    found = read(write_report(tmp_path))
    assert (found.problems, found.open) == ([], [])
    parts = [
        "fit report",
        "It fits.",
        "R²",
        "The data",
        "a.csv",
        "A caption.",
        "A short table.",
        "Reproducibility",
        "The end.",
    ]
    assert [part for part in parts if part not in found.text] == []
    assert "Summary" not in found.text
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["bars.svg", "page.json", "short.csv"]


def test_pages_of_earlier_versions_are_read(tmp_path: Path):
    """Earlier versions have sections without a claim and pages without a notice."""
    record = PageRecord("fit", "Rent", "It fits.", {}, [Section("data", "The data")], {}, "taylornets fit a.csv")
    records.save_page(tmp_path, record)
    records.save_page_run(tmp_path, "fit", {"version": "0.1.0"})
    path = tmp_path / "records" / "page.json"
    written = json.loads(path.read_text())
    del written["record"]["notice"], written["record"]["sections"][0]["claim"]
    path.write_text(json.dumps(written))
    assert "It fits." in read(write_report(tmp_path)).text


def test_series_without_labels_have_no_button(tmp_path: Path):
    plain, labeled = Plot("x", "y", [Series("", [1, 2], [1, 2])]), [Series(name, [1, 2], [2, 1]) for name in ("a", "b")]
    figures = (
        Figure("two", "Two", [plain, Plot("x", "z", labeled)], ""),
        Figure("one", "One", [plain, Plot("x", "z", labeled[:1])], ""),
    )
    records.save_page(
        tmp_path, PageRecord("fit", "A page", "A finding.", {}, [Section("s", "S", (), {}, figures)], {}, "")
    )
    records.save_page_run(tmp_path, "fit", {})
    html = write_report(tmp_path).read_text(encoding="utf-8")
    found = re.findall(r"<button[^>]*data-key=[^>]*><span[^>]*></span>(.*?)</button>", html)
    assert found == ["a", "b"]


def test_run_without_figures_or_claims(tmp_path: Path):
    save(tmp_path, [], names=["coupling"])
    assert "0 of 0 claims of the theory hold" in read(write_report(tmp_path)).text


def test_progress_goes_up_to_one(tmp_path: Path):
    save(tmp_path, [hostile()])
    heard: list[tuple[float, str]] = []

    class Heard(NoProgress):
        def progressed(self, name: str, fraction: float, message: str) -> None:
            assert name == "report"
            heard.append((fraction, message))

    write_report(tmp_path, Heard())
    assert heard == [(0.0, HOSTILE), (0.5, HOSTILE)]


def test_other_folders_are_refused(tmp_path: Path):
    with pytest.raises(
        ArgumentError, match=r"directory: expected an output folder of `taylornets reproduce`.*no run\.json"
    ):
        write_report(tmp_path)
    with pytest.raises(ArgumentError, match=r"directory: .*which does not exist"):
        write_report(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_damaged_record_is_named(tmp_path: Path):
    save(tmp_path, [hostile()])
    (tmp_path / "records" / "certificate.json").write_text("{")
    with pytest.raises(
        ArgumentError, match=r"directory: expected readable records, got .*certificate\.json.*`resume=True`"
    ):
        write_report(tmp_path)
    assert records.load_run(tmp_path) is not None
