"""Writes `slow.txt`, the cases that `make test` leaves out, from the times of one full run.

    .venv/bin/python -m pytest -n 2 --dist worksteal --junitxml times.xml -o junit_family=xunit1
    .venv/bin/python tests/slow.py times.xml

A case is slow beyond `LIMIT` seconds. The quickest case of each function stays in `make test`, up to `MOST` seconds, and so do
the rules of the source, which every change can break.
"""

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

LIMIT, MOST = 0.5, 2.0
ALWAYS = "tests/test_architecture.py"


def seconds(report: Path) -> dict[str, float]:
    """The time of each case, its setup included."""
    times: dict[str, float] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        file, name = case.attrib["file"], case.attrib["name"]
        module = file.removesuffix(".py").replace("/", ".")
        classes = case.attrib["classname"].removeprefix(module).strip(".")
        times["::".join(filter(None, (file, *classes.split("."), name)))] = float(case.attrib["time"])
    return times


def slow(times: dict[str, float]) -> list[str]:
    """The cases to leave out."""
    functions: dict[str, list[str]] = defaultdict(list)
    for case in times:
        functions[case.split("[")[0]].append(case)
    kept = {min(cases, key=times.__getitem__) for cases in functions.values()}
    limits = {case: MOST if case in kept else LIMIT for case in times}
    return sorted(case for case, time in times.items() if time > limits[case] and not case.startswith(ALWAYS))


if __name__ == "__main__":
    cases = slow(seconds(Path(sys.argv[1])))
    Path(__file__).with_name("slow.txt").write_text("".join(f"{case}\n" for case in cases))
    sys.stdout.write(f"{len(cases)} slow cases\n")
