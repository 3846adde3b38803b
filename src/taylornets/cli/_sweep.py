"""The command `sweep`."""

import shlex
from pathlib import Path

from rich.console import Console
from rich.text import Text

from taylornets import _checks
from taylornets.cli._app import BROKEN, DONE, INTERRUPTED
from taylornets.cli._progress import shown
from taylornets.sweeps import CellError, load, sweep


def run(config: Path, *, out: Path, resume: bool, scheduler: str | None, workers: int | None) -> int:
    """Runs the grid of a configuration.

    Returns:
        0 if every cell finished, 1 if one failed, 130 if interrupted.
    """
    screen = Console(stderr=True)
    if workers is not None:
        _checks.integer("workers", workers, 1)
    plan = load(config)
    words = ["taylornets", "sweep", str(config), "--out", str(out), "--resume"]
    words += ["--scheduler", scheduler] if scheduler else []
    try:
        with shown(screen) as progress:
            sweep(plan, out, resume=resume, scheduler=scheduler, workers=workers, progress=progress)
    except KeyboardInterrupt:
        screen.print(Text(f"Interrupted. Finished cells are kept in {out}. Resume with: {shlex.join(words)}"))
        return INTERRUPTED
    except CellError as error:
        screen.print(Text(" ".join(str(error).split())), soft_wrap=True)
        return BROKEN
    Console().print(Text(f"{len(plan.cells)} cells. Table: {(out / 'results.csv').resolve()}"), soft_wrap=True)
    return DONE
