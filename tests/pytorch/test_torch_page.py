"""The example of `docs/pytorch.md` runs as printed, with fewer steps of training."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "pytorch.md"


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python no-run\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        short = re.sub(r"\b(200|100), ([\d.e-]+)", r"8, \2", block)
        short = short.replace("every=25", "every=4").replace("[:64]", "[:4]")
        short = re.sub(r"\b(probe(?:, groups=\"kind\")?)\)", r"\1, max_order=1)", short)
        exec(compile(short, PAGE.name, "exec"), names)
    found, lora = names["found"], names["lora"]
    assert set(found.by_group) == {"embeddings", "attention", "MLP", "norms", "head"}
    assert any("q_proj" in name for name in lora.displacement)
    assert not any("fc" in name for name in lora.displacement)
    assert names["path"].names == ("step_0", "step_4", "step_8")
    assert "attention alone: " in capsys.readouterr().out
