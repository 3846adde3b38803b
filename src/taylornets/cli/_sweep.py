"""The command `sweep`."""

import shlex
from pathlib import Path

from rich.console import Console
from rich.text import Text

from taylornets import _checks
from taylornets.cli._progress import shown
from taylornets.cli._root import BROKEN, DONE, INTERRUPTED
from taylornets.records.folders import owned
from taylornets.sweeps import CellError, load, security_of, sweep


def run(config: Path, *, out: Path, resume: bool, workers: int | None, scheduler: str | None, **tls: str | None) -> int:
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
    words += [word for name, value in tls.items() if value for word in (f"--{name.replace('_', '-')}", value)]
    secret = security_of(tls["tls_certificate"], tls["tls_key"], tls["tls_authority"])
    try:
        with owned(out), shown(screen) as progress:
            sweep(plan, out, resume=resume, scheduler=scheduler, workers=workers, tls=secret, progress=progress)
    except KeyboardInterrupt:
        screen.print(Text(f"Interrupted. Finished cells are kept in {out}. Resume with: {shlex.join(words)}"))
        return INTERRUPTED
    except CellError as error:
        screen.print(Text(" ".join(str(error).split())), soft_wrap=True)
        return BROKEN
    count = _checks.counted(len(plan.cells), "cell")
    Console().print(Text(f"{count}. Table: {(out / 'results.csv').resolve()}"), soft_wrap=True)
    return DONE
