"""Judge every gate of the trial by what only the whole trial can tell, and write the final tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from statistics import median

from cytotrial.files.tables import Row, read_table, write_table
from cytotrial.science.doubt import Acquired, Measures, faults_of
from cytotrial.settings import Doubt
from cytotrial.steps.bounds import Beside
from cytotrial.steps.cohort import key_of_row
from cytotrial.steps.gates_table import DIGITS, as_cell, numbers_in
from cytotrial.steps.layout import JUDGED, POPULATIONS, QC_DONOR, SCORES
from cytotrial.steps.plan import Plan
from cytotrial.steps.qc_donor import rows_of
from cytotrial.steps.verdict import Verdict, judge_trial
from cytotrial.terms import ROOT, Outcome, Role, Status, Tube

NUMBERS = ("confidence", "position", "position_se", "similarity", "disagreement")
"""Columns of gates.csv that hold numbers; a negative one must not be written as text."""
NOT_GATED = "NOT_GATED"
"""Reason of a tube that could not be read or gated."""
UNCALIBRATED = "uncalibrated"
"""On every reported value of found gates that no reference tubes taught."""


def score_gating(plan: Plan) -> None:
    """Write gates.csv, populations.csv, qc_donor.csv and review_scores.csv."""
    verdict, layout = judge_trial(plan), plan.layout
    write_table(layout.gates, JUDGED, _gate_rows(verdict))
    final = [_population_row(row, verdict, plan.trial.settings.doubt) for row in verdict.populations]
    write_table(layout.populations, POPULATIONS, final)
    write_table(layout.qc_donor, QC_DONOR, rows_of(verdict.series))
    faults = _faults(plan)
    write_table(layout.review_scores, SCORES, _score_rows(final, verdict, faults))


# The final tables


def _gate_rows(verdict: Verdict) -> Iterator[Row]:
    for row in verdict.gates:
        key = key_of_row(row)
        judged, beside = verdict.judged.get(key), verdict.beside.get(key)
        measures = judged.measures if judged else Measures()
        middle = judged.batch_middle if judged else ()
        yield {
            **row,
            **{name: _as_number(row[name]) for name in NUMBERS},
            "control": _joined(row["control"], beside.controls if beside else ()),
            "flags": _joined(row["flags"], judged.flags if judged else ()),
            "batch_position": _as_number(row["batch_position"]) or as_cell(middle),
            "bound": _rounded(beside.bound if beside else None),
            "batch_distance": _rounded(measures.batch_distance),
            "cohort_z": _rounded(measures.cohort_z),
            "score": _rounded(judged.score if judged else None),
        }


def _population_row(row: Mapping[str, str], verdict: Verdict, doubt: Doubt) -> Row:
    key = key_of_row(row)
    sample = row["role"] == Role.SAMPLE.value
    kind = row["panel"], key[1]
    laid = [
        *verdict.flags.get(key, ()),
        *(verdict.alarms.get((row["panel"], row["batch"], key[1]), ()) if sample else ()),
        *((UNCALIBRATED,) if sample and kind in verdict.uncalibrated else ()),
    ]
    if not row["events"]:
        return row
    flags = _joined(row["flags"], laid)
    judged = {**row, "flags": flags, "status": (Status.WARN if flags else Status.OK).value}
    judged |= _background(row, verdict.beside.get(key))
    held = [flag for flag in flags if flag.split(":")[0] in doubt.hold_back]
    return _held_back(judged, held) if held else judged


def _background(row: Mapping[str, str], beside: Beside | None) -> Row:
    """What the FMO holds above the sample's cut, where no unstimulated tube says it already."""
    if beside is None or beside.background_percent is None or row["background_percent"]:
        return {}
    percent = float(row["percent_of_parent"])
    return {
        "background_percent": beside.background_percent,
        "net_percent": max(percent - beside.background_percent, 0.0),
        "background_control": beside.controls,
    }


def _held_back(row: Row, held: Iterable[str]) -> Row:
    """The row without its numbers: whoever reads it finds the reason, and nothing to use by mistake."""
    numbers = ("events", "parent_events", "percent_of_parent", "background_percent", "net_percent")
    return {
        **row,
        **dict.fromkeys(numbers),
        "median_intensities": "",
        "status": Status.FAIL.value,
        "reason": f"held back: {', '.join(held)}",
    }


def _faults(plan: Plan) -> dict[str, tuple[str, ...]]:
    """sample_id → what is wrong with the tube as a whole; of every sample tube that was acquired."""
    doubt = plan.trial.settings.doubt
    quality = {row["sample_id"]: row for row in read_table(plan.layout.quality)}
    rejected = {
        row["sample_id"]: row["code"]
        for row in read_table(plan.layout.inventory)
        if row["status"] == Outcome.REJECT.value
    }
    samples = [tube for tube in plan.trial.tubes if tube.role is Role.SAMPLE and tube.status == "DONE"]
    usual = _usual_events(samples, quality)
    faults: dict[str, tuple[str, ...]] = {}
    for tube in samples:
        row = quality.get(tube.sample_id)
        if tube.sample_id in rejected or row is None:
            faults[tube.sample_id] = (rejected.get(tube.sample_id, NOT_GATED),)
        else:
            faults[tube.sample_id] = faults_of(
                _acquired(row, usual[tube.panel]),
                unsteady_percent=doubt.unsteady_percent,
                small_tube=doubt.small_tube,
            )
    return faults


def _usual_events(samples: Iterable[Tube], quality: Mapping[str, Mapping[str, str]]) -> dict[str, float]:
    """Panel → the median number of events of its sample tubes."""
    events: dict[str, list[int]] = {}
    for tube in samples:
        if tube.sample_id in quality:
            events.setdefault(tube.panel, []).append(int(quality[tube.sample_id]["events"]))
    return {panel: median(numbers) for panel, numbers in events.items()}


def _acquired(row: Mapping[str, str], usual_events: float) -> Acquired:
    return Acquired(
        int(row["events"]),
        usual_events,
        float(row["removed_percent"]) - float(row["margin_percent"]),
        tuple(flag for flag in row["flags"].split(";") if flag),
    )


def _score_rows(
    populations: Iterable[Row], verdict: Verdict, faults: Mapping[str, tuple[str, ...]]
) -> Iterator[Row]:
    """How doubtful every sample tube is as a whole (its root), and every gate of it, in gating order."""
    for row in populations:
        if row["role"] == Role.SAMPLE.value and row["population"] == ROOT and row["sample_id"] in faults:
            found = faults[row["sample_id"]]
            yield {
                "sample_id": row["sample_id"],
                "population": ROOT,
                "score": 1.0 if found else 0.0,
                "reasons": found,
            }
        if row["role"] != Role.SAMPLE.value or row["status"] == Status.NOT_DONE.value or not row["parent"]:
            continue
        judged = verdict.judged.get(key_of_row(row))
        reasons = list(row["flags"]) if not isinstance(row["flags"], str) else row["flags"].split(";")
        failed = row["status"] == Status.FAIL.value
        worst = f"largest rank: {judged.worst}" if judged and judged.worst else ""
        yield {
            "sample_id": row["sample_id"],
            "population": row["population"],
            "score": 1.0 if failed else _rounded(judged.score if judged else 0.0),
            "reasons": tuple(reason for reason in (*reasons, worst) if reason),
        }


def _as_number(cell: str) -> float | str | None:
    """A cell of one number as that number; several numbers stay as they are written."""
    numbers = numbers_in(cell)
    return numbers[0] if len(numbers) == 1 else cell or None


def _joined(text: str, more: Iterable[str]) -> tuple[str, ...]:
    """Words of a cell and more of them, each once."""
    return tuple(dict.fromkeys([*(word for word in text.split(";") if word), *more]))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
