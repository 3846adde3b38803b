"""README and the pages of `docs/`: their examples run, one block after the other, and what the prose says of them holds.

Pages are discovered. The Python blocks of a page share one namespace, console blocks run the command, all in an empty folder;
`HOLDS` has the assertions on the results. A block marked `no-run` needs hardware or packages that the tests do not have.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taylornets import cli
from taylornets._regime._verdict import NAMES
from taylornets.estimators import TaylorClassifier
from taylornets.estimators._ntk import _DECOMPOSED
from taylornets.estimators._parameters import PENALTIES
from taylornets.optimizers import METHODS
from taylornets.randomization import SignedMoments
from taylornets.series import RULES
from taylornets.tabular import _baselines, _path, _run

ROOT = Path(__file__).parents[1]
# The notebooks run when the site is built; generated pages are not sources.
PAGES = {
    name: path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if not re.match(r"docs/(_build|notebooks|reference/generated)/", name := path.relative_to(ROOT).as_posix())
}
BLOCKS = {
    name: re.findall(r"```(python|console)\n(.*?)```", path.read_text(), re.DOTALL) for name, path in PAGES.items()
}

Capture = pytest.CaptureFixture[str]


def readme(names: dict[str, Any], out: str) -> None:
    assert float(names["result"].certificate.relative_gap) <= 1e-8
    assert len(names["terms"]) == 4
    assert names["regime"].order == 1
    assert "of the global minimum" in out


def certificate(names: dict[str, Any], out: str) -> None:
    assert re.search(r"reached 0\.\d+, bound 0\.\d+\ngap \d\.\de-0[4-9]", out)


def choosing(names: dict[str, Any], out: str) -> None:
    first, second = (float(value) for value in re.findall(r"R² (-?[\d.]+)", out))
    assert first < 0.6
    assert second > 0.75
    assert "of the global minimum" in out


def five_minutes(names: dict[str, Any], out: str) -> None:
    assert "Training is certified as optimal" in out
    assert "397 training rows" in out
    assert Path("run/report.html").exists()
    assert len(Path("predictions.csv").read_text().splitlines()) == 21


def generalization(names: dict[str, Any], out: str) -> None:
    assert "vacuous: the bound" in out
    assert "positive semidefinite up to rounding" in out
    assert out.splitlines()[-1].startswith("True ")


def landscape(names: dict[str, Any], out: str) -> None:
    assert float(names["escapes"].certificate.relative_gap) <= 1e-8
    assert names["saddle"].min_eigenvalue < 0
    assert out.count("of the global minimum") == 2


def regime(names: dict[str, Any], out: str) -> None:
    assert names["regime"].max_order == 4
    assert names["found"].history.steps[-1] == 100
    assert names["drift"].shape == (5, 1, 5, 1)


def learner(names: dict[str, Any], out: str) -> None:
    assert "even: quadratic forms in it express even functions only\nNone\n" in out
    assert float(names["error"]) < 0.15
    assert float(names["found"].certificate.relative_gap) <= 1e-3
    assert float(names["both"].certificate.relative_gap) <= 1e-3
    assert names["linear"].shape == names["quadratic"].shape == (240, 1)


def target_exponents(names: dict[str, Any], out: str) -> None:
    assert "2 3\n" in out
    assert names["spectrum"].exponent == 2
    assert "do not predict the models of `tn.fit`" in out


def taylor_mode(names: dict[str, Any], out: str) -> None:
    assert names["value"].shape == (5, 2)


HOLDS = {
    "README.md": readme,
    "docs/certificate.md": certificate,
    "docs/choosing.md": choosing,
    "docs/five-minutes.md": five_minutes,
    "docs/generalization.md": generalization,
    "docs/landscape.md": landscape,
    "docs/regime.md": regime,
    "docs/learners.md": learner,
    "docs/targets.md": target_exponents,
    "docs/taylor-mode.md": taylor_mode,
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The baselines with one setting each: what they score is not what is tested here."""
    for name in ("_RIDGES", "_ALPHAS", "_COSTS", "_DECAYS", "_LEAVES"):
        monkeypatch.setattr(_baselines, name, getattr(_baselines, name)[:1])
    monkeypatch.setattr(_baselines, "_TREES", 5)
    monkeypatch.setattr(_path, "PENALTIES", (1e-3, 1e-5))
    monkeypatch.setattr(_run, "_CURVE", (1.0,))


@pytest.mark.parametrize("name", [name for name, blocks in BLOCKS.items() if blocks])
def test_examples_run(name: str, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    names: dict[str, Any] = {"__name__": "__main__"}
    for kind, content in BLOCKS[name]:
        if kind == "python":
            exec(compile(content, name, "exec"), names)
            continue
        with pytest.raises(SystemExit) as ended:
            cli.main(shlex.split(content)[1:])
        assert ended.value.code == 0
    HOLDS.get(name, lambda names, out: None)(names, capfd.readouterr().out)


def test_what_is_asserted_belongs_to_a_page():
    assert {name for name, blocks in BLOCKS.items() if blocks} >= set(HOLDS)


def test_every_page_is_linked_from_the_readme():
    text = PAGES["README.md"].read_text()
    pages = [name for name in PAGES if re.fullmatch(r"docs/[\w-]+\.md", name) and name != "docs/index.md"]
    assert [name for name in pages if name not in text] == []  # other pages are on the site


def test_options_on_the_pages_exist():
    options = {name for command in _commands() for name in command}
    written = {
        (name, option)
        for name, path in PAGES.items()
        for line in re.findall(r"^(?:    |)taylornets [a-z]+.*$", path.read_text(), re.MULTILINE)
        for option in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", line)
    }
    assert sorted(item for item in written if item[1] not in options) == []


def _commands() -> list[set[str]]:
    """The names of the options of every command, as its parameters spell them."""
    return [
        {parameter.strip("_").replace("_", "-") for parameter in item.callback.__annotations__} | {"help", "version"}
        for item in cli.load("_app").app.registered_commands
    ]


def row_of(name: str, first: str) -> list[str]:
    (row,) = re.findall(rf"^\| {first} \| ?(.*?) ?\|$", PAGES[name].read_text(), re.MULTILINE)
    return [cell.strip() for cell in row.split("|")]


def test_table_of_total_variations():
    shown = [float(cell) for cell in row_of("docs/higher-orders.md", "T")]
    np.testing.assert_allclose(shown, [SignedMoments(k).total_variation for k in range(2, 9)], rtol=5e-3)


def test_table_names_every_method():
    text = PAGES["docs/landscape.md"].read_text()
    assert set(re.findall(r'^\| `"(\w+)"`', text, re.MULTILINE)) == {"auto", *METHODS}  # next to "dual_newton"


def test_figures_of_choosing_are_those_of_the_code():
    assert f"{_DECOMPOSED:,} rows" in PAGES["docs/choosing.md"].read_text()
    assert (PENALTIES[0], PENALTIES[-1]) == (1e-1, 1e-9)
    assert TaylorClassifier().width == 256


def test_verdicts_of_the_regime_are_explained():
    text = PAGES["docs/regime.md"].read_text()
    assert [name for name in NAMES.values() if f"`{name}`" not in text] == []


@pytest.mark.parametrize("family", sorted({rule.family for rule in RULES.values()}))
def test_table_lists_every_rule(family: str):
    (cell,) = row_of("docs/taylor-mode.md", family)
    assert re.findall(r"`([^`]+)`", cell) == sorted(name for name, rule in RULES.items() if rule.family == family)
