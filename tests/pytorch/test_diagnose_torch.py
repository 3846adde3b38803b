"""`taylornets diagnose` for PyTorch: factories, two folders, the page, and one sentence for each mistake."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import zoo
from test_folders import TEXTS, after, before, write_tokenizer

from taylornets import cli

FACTORIES = Path(__file__).with_name("torch_factories.py")
__all__ = ["after", "before", "write_tokenizer"]  # fixtures


@pytest.fixture
def run(capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with pytest.raises(SystemExit) as ended:
            cli.main(["diagnose", *map(str, words)])
        out, error = capfd.readouterr()
        return ended.value.code, out, error

    return call


def test_a_factory(run, tmp_path):
    code, out, error = run(f"{FACTORIES}:two_states", "--groups", "block", "--max-order", "2")
    assert code == 0, error
    assert out.startswith("Lazy: order 1 explains ")
    assert "nested forward-mode derivatives in PyTorch" in out
    page = (tmp_path / "diagnosis" / "report.html").read_text()
    assert "How it was computed" in page
    assert "Groups of layers" in page
    assert "relative error of the order-k model" in page
    saved = json.loads((tmp_path / "diagnosis" / "run.json").read_text())
    assert saved["status"] == "finished"
    assert saved["regime"]["order"] == 1


def test_beyond_the_radius_the_page_begins_with_what_holds(run, tmp_path):
    code, out, error = run(f"{FACTORIES}:far_apart")
    assert code == 0, error
    assert out.startswith("Quadratic on each of ")
    page = (tmp_path / "diagnosis" / "report.html").read_text()
    assert "Beyond the orders" in page
    assert "tangent at the middle of the line" in page
    assert "taylor model" not in page
    saved = json.loads((tmp_path / "diagnosis" / "run.json").read_text())
    assert saved["regime"]["pieces"]["2"] > 1


def test_a_series_of_checkpoints(run, tmp_path):
    code, _, error = run(f"{FACTORIES}:checkpoints", "--max-order", "2")
    assert code == 0, error
    assert "The regime over time" in (tmp_path / "diagnosis" / "report.html").read_text()


def test_two_folders(run, before, after, tmp_path):
    (tmp_path / "texts.csv").write_text(
        "label,text\n" + "".join(f"{i % 2},{text}\n" for i, text in enumerate(TEXTS * 3))
    )
    words = ("--before", before, "--after", after, "--data", "texts.csv", "--max-order", "2")
    code, out, error = run(*words, "--text", "text", "--groups", "kind")
    assert code == 0, error
    assert "output logits" in out
    assert "attention alone: " in out
    assert "BertForSequenceClassification" in (tmp_path / "diagnosis" / "report.html").read_text()
    np.savez(tmp_path / "ids.npz", x=zoo.TOKENS.numpy(), y=np.zeros(4))
    code, _, error = run(
        "--before", before, "--after", after, "--data", "ids.npz", "--max-order", "1", "--out", "second"
    )
    assert code == 0, error


BAD = {
    "alone": ((f"{FACTORIES}:alone",), r"FILE\.py:FACTORY: expected \(before, after, inputs\): .*, got a PyTorch module alone\."),
    "training": ((f"{FACTORIES}:training",), r"FILE\.py:FACTORY: expected a torch\.nn\.Module in evaluation mode, got one in training mode"),
    "one folder": (("--before", "x"), r"--after: expected a folder of Hugging Face, got none\. Pass both --before and --after\."),
    "no data": (("--before", "x", "--after", "y"), r"--data: expected the probe inputs: .*, got none\."),
    "both": ((f"{FACTORIES}:alone", "--before", "x", "--after", "y"), r"FILE\.py:FACTORY: expected either a factory or two folders, got both"),
    "missing": (("--before", "x", "--after", "y", "--data", "t.csv"), r"--before: expected a folder with config\.json .* got x, which does not exist"),
    "text": ((f"{FACTORIES}:alone", "--text", "a"), r"--text: expected two folders, --before and --after, got none\."),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_requests(name, run):
    words, message = BAD[name]
    code, out, error = run(*words)
    assert code == 2
    assert out == ""
    assert re.match(message, error), error
    assert len(error.splitlines()) == 1


def test_bad_data_for_two_folders(run, before, after, tmp_path):
    (tmp_path / "two.csv").write_text("a,b\nx,y\nz,w\n")
    words = ("--before", before, "--after", after, "--data")
    for data, message in (
        (("two.csv",), r"--text: expected the column with the texts, got none; two\.csv has the columns 'a', 'b'"),
        (("two.csv", "--text", "c"), r"--text: expected one of 'a', 'b', got 'c'"),
        (("none.npz",), r"--data: expected an NPZ file with arrays named like the model's arguments"),
    ):
        code, _, error = run(*words, *data)
        assert code == 2
        assert re.match(message, error), error
