"""What the report shows of compensation and of acquisition quality, read from the result files."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from cytotrial.files.tables import read_table
from cytotrial.files.whole import read_text
from cytotrial.report.acquisition import TracePicture
from cytotrial.report.compensation import PairPicture, worst_of
from cytotrial.steps.matrix_pictures import read_matrix_pictures
from cytotrial.steps.plan import Plan
from cytotrial.steps.traces import unpacked_trace


def matrices_of(plan: Plan) -> dict[str, pd.DataFrame]:
    """The matrices that were made, by "panel, batch"."""
    made = {}
    for panel, batch in plan.matrices:
        text = read_text(plan.layout.matrix(panel, batch))
        if not text.startswith("refused\n"):
            lines = [line for line in text.splitlines() if not line.startswith("# ")]
            made[f"{panel}, {batch}"] = pd.read_csv(StringIO("\n".join(lines)), index_col=0)
    return made


def flagged_pairs(plan: Plan) -> pd.DataFrame | None:
    """Channel pairs and findings that are flagged; the whole figures are in the quality files."""
    parts = [
        _read(plan.layout.matrix_quality(panel, batch)).assign(panel=panel, batch=batch)
        for panel, batch in plan.matrices
    ]
    return _flagged(parts, ["panel", "batch"])


def flagged_between_matrices(plan: Plan) -> pd.DataFrame | None:
    """Channel pairs that are flagged in samples or between batches."""
    parts = [
        _read(plan.layout.matrices_compared(panel)).assign(panel=panel) for panel in plan.judged_panels()
    ]
    return _flagged(parts, ["panel"])


def _flagged(parts: list[pd.DataFrame], first: list[str]) -> pd.DataFrame | None:
    if not parts:
        return None
    joined = pd.concat(parts, ignore_index=True)
    flagged = joined[joined["flags"] != ""]
    return flagged[[*first, *[name for name in flagged.columns if name not in first]]]


def worst_pairs_of(plan: Plan) -> tuple[PairPicture, ...]:
    """Of each panel the worst channel pairs of all its batches."""
    most = plan.trial.settings.report.pair_pictures
    return tuple(
        pair for panel in plan.judged_panels() for pair in worst_of(list(_pairs_of(plan, panel)), most=most)
    )


def _pairs_of(plan: Plan, panel: str) -> Iterator[PairPicture]:
    for name, batch in plan.matrices:
        if name == panel:
            pictures = read_matrix_pictures([plan.layout.matrix_pictures(panel, batch)])
            yield from (_pair(picture, f"{panel}, {batch}") for picture in pictures)


def _pair(plain: dict[str, Any], title: str) -> PairPicture:
    return PairPicture(
        title=title,
        detector=plain["detector"],
        into=plain["into"],
        spillover=plain["spillover"],
        residual_slope=plain["residual_slope"],
        standard_error=plain["standard_error"],
        flags=tuple(plain["flags"]),
        cofactor=plain["cofactor"],
        x_range=tuple(plain["x"]),
        y_range=tuple(plain["y"]),
        before=plain["before"],
        after=plain["after"],
        middles_before=_two_points(plain["middles_before"]),
        middles_after=_two_points(plain["middles_after"]),
        severity=plain["severity"],
    )


def _two_points(plain: list[list[float]]) -> tuple[tuple[float, float], tuple[float, float]]:
    (x0, y0), (x1, y1) = plain
    return (x0, y0), (x1, y1)


def acquisition_of(plan: Plan) -> pd.DataFrame:
    """quality.csv with the panel of each tube."""
    table = _read(plan.layout.quality)
    panel = {tube.sample_id: tube.panel for tube in plan.trial.tubes}
    return table.assign(panel=table["sample_id"].map(panel))


def traces_of(plan: Plan) -> tuple[TracePicture, ...]:
    """Tubes with a flag or a removed stretch, the most removed first."""
    rows = [
        row for job in plan.gating_jobs for row in read_table(plan.layout.unit_quality(*job)) if row["trace"]
    ]
    rows.sort(key=lambda row: (-float(row["removed_percent"] or 0), row["sample_id"]))
    tubes = {tube.sample_id: tube for tube in plan.trial.tubes}
    shown = rows[: plan.trial.settings.report.acquisition_pictures]
    return tuple(_trace(row, tubes[row["sample_id"]].panel) for row in shown)


def _trace(row: dict[str, str], panel: str) -> TracePicture:
    plain = unpacked_trace(row["trace"])
    removed = f"{float(row['removed_percent'] or 0):.1f} % of {row['events']} events removed"
    caption = "; ".join(part for part in (removed, *row["flags"].split(";")) if part)
    return TracePicture(
        sample_id=row["sample_id"],
        title=f"{row['sample_id']} · {panel}",
        caption=caption,
        begin=plain["begin"],
        end=plain["end"],
        has_time=plain["has_time"],
        rate=pd.array(plain["rate"]).to_numpy(dtype="uint32"),
        channels=tuple(plain["channels"]),
        ends=tuple(map(tuple, plain["ends"])),
        counts=plain["counts"],
        removed=tuple((begin, end, tuple(reasons)) for begin, end, reasons in plain["removed"]),
    )


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(StringIO(read_text(path)), dtype=str, keep_default_na=False)
