"""The pages for users of tables run as they stand, one block after the other, in an empty folder."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from taylornets import cli
from taylornets.tabular import _baselines, _path, _run

DOCS = Path(__file__).parents[2] / "docs"
Capture = pytest.CaptureFixture[str]


def blocks(page: str) -> list[tuple[str, str]]:
    """Kinds and contents of the blocks that are run."""
    return re.findall(r"```(python|console)\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other models with one setting each: what they score is not what is tested here."""
    for name in ("_RIDGES", "_ALPHAS", "_COSTS", "_DECAYS", "_LEAVES"):
        monkeypatch.setattr(_baselines, name, getattr(_baselines, name)[:1])
    monkeypatch.setattr(_baselines, "_TREES", 5)
    monkeypatch.setattr(_path, "PENALTIES", (1e-3, 1e-5))
    monkeypatch.setattr(_run, "_CURVE", (1.0,))


def test_five_minutes(quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    state: dict[str, object] = {}
    found = blocks("five-minutes.md")
    assert [kind for kind, _ in found] == ["console", "python", "console", "console", "python"]
    for kind, content in found:
        if kind == "python":
            exec(content, state)
            continue
        with pytest.raises(SystemExit) as ended:
            cli.main(shlex.split(content)[1:])
        assert ended.value.code == 0
    out, _ = capfd.readouterr()
    assert "The training is finished, provably" in out
    assert (tmp_path / "run" / "report.html").exists()
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 20
    assert "397 training rows" in out


def test_certificate_page():
    script = "\n".join(content for kind, content in blocks("certificate.md") if kind == "python")
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"reached 0\.\d+, bound 0\.\d+, gap \d\.\de-0[4-9]", done.stdout)


def test_every_page_is_linked_from_the_readme():
    readme = (DOCS.parent / "README.md").read_text()
    assert all(f"docs/{page.name}" in readme for page in DOCS.glob("*.md"))


def call_of(name: str) -> Callable[..., object]:
    """A command's function, whose parameters are its options."""
    return next(item.callback for item in _commands() if item.callback.__name__ == name)


def _commands() -> list[Any]:
    return list(cli.load("_app").app.registered_commands)


def test_options_on_the_pages_exist():
    options = set(
        re.findall(r"--([a-z]+)", "".join((DOCS / p).read_text() for p in ("five-minutes.md", "certificate.md")))
    )
    assert options <= set(call_of("fit").__annotations__) | {"out"}
