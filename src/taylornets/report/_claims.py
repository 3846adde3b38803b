"""The page of a reproduction: one section per claim, built from its record."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from taylornets.records import ClaimRecord, Figure, PageRecord, RunRecord, Section
from taylornets.report._map import map_of_learners
from taylornets.report._text import seconds

_TITLE = "Wide networks beyond linearization"


def claims_page(run: RunRecord, claims: Sequence[ClaimRecord], missing: Sequence[str]) -> PageRecord:
    """Builds the page of a run.

    Args:
        run: settings and environment of the run.
        claims: their records, in order.
        missing: names of claims that an unfinished run has not computed yet.

    Returns:
        The page. Figures and tables are named `<claim>_<name>`; the main figure has its own section.
    """
    main = map_of_learners(claims) or _main_figure(claims)
    held, count = sum(claim.holds for claim in claims), len(claims)
    sections = [Section("figure", "", figures=(main,))] if main else []
    controls = [claim.detail["negative_control"] for claim in claims if claim.detail.get("negative_control")]
    headline: dict[str, Any] = {"claims": f"{held} of {count} hold"}
    if controls:
        failed = sum(bool(control["fails"]) for control in controls)
        headline["negative controls"] = f"{failed} of {len(controls)} failed as predicted"
    headline["time of all claims"] = seconds(sum(claim.seconds for claim in claims))
    return PageRecord(
        "reproduction",
        _TITLE,
        f"{held} of {count} claims of the theory {'holds' if held == 1 else 'hold'} on this machine (profile "
        f"{run.stamp.profile}, seed {run.stamp.seed}).",
        headline,
        [*sections, *(_section(claim, main) for claim in claims)],
        _facts(run),
        f"taylornets reproduce --profile {run.stamp.profile} --seed {run.stamp.seed}",
        ("The folder `records/` contains the data of every figure.",),
        f"This run is unfinished. Not computed yet: {', '.join(missing)}. Resume the run to compute the rest."
        if missing
        else "",
    )


def _section(claim: ClaimRecord, main: Figure | None) -> Section:
    figures, tables = ([_named(claim, item) for item in items] for items in (claim.figures, claim.tables))
    shown = [figure for figure in figures if figure != main]
    return Section(claim.claim, claim.title, claim.explanation, figures=shown, tables=tables, claim=claim)


def _named(claim: ClaimRecord, item: Any) -> Any:
    """Renames a figure or table so that its name is unique on the page."""
    return replace(item, name=f"{claim.claim}_{item.name}")


def _main_figure(claims: Sequence[ClaimRecord]) -> Figure | None:
    """Selects the figure for the top of the page: the first highlighted one, or else the first one."""
    every = [_named(claim, figure) for claim in claims for figure in claim.figures]
    return next((figure for figure in every if figure.highlight), every[0] if every else None)


def _facts(run: RunRecord) -> dict[str, Any]:
    """Lists settings and environment of the run, by name."""
    changed = " with uncommitted changes" if run.modified else ""
    return {
        "profile": run.stamp.profile,
        "seed": str(run.stamp.seed),
        "precision": "64 bits" if run.stamp.x64 else "32 bits",
        "device": run.device,
        "system": f"{run.platform}, {run.cpu_count} CPU cores",
        "commit": (run.stamp.commit + changed) if run.stamp.commit else "none (not run from a git checkout)",
        "start": run.start.replace("T", " ").replace("+00:00", " UTC"),
        "end": run.end.replace("T", " ").replace("+00:00", " UTC") or "unfinished",
    } | dict(run.versions)
