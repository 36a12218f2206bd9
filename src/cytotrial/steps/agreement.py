"""Our populations against a manual gating of the same tubes: what a lab looks at before it trusts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cytotrial.errors import ConfigError, all_problems
from cytotrial.files.fingerprints import sha256_of
from cytotrial.files.tables import Row, write_table
from cytotrial.files.whole import write_text
from cytotrial.progress import Progress, untold
from cytotrial.report.agreement import AgreementPage, render_agreement
from cytotrial.science.agreement_summary import Wanted, summarise, unknown
from cytotrial.settings import digest
from cytotrial.steps.gated import GatedRun, nearest
from cytotrial.steps.manual import Manual, read_manual, read_mapping
from cytotrial.steps.paired import Comparison
from cytotrial.steps.plan import Plan
from cytotrial.terms import ROOT, Role, Tube

TUBES = (
    "sample_id", "panel", "batch", "population", "manual_population", "of", "manual_of",
    "events", "of_events", "percent", "manual_events", "manual_of_events", "manual_percent",
    "difference", "ratio", "precision", "recall", "f1", "manual_events_in_file", "flowjo_count",
    "masked_percent",
)  # fmt: skip
_LIMITS = ("", "_ci_low", "_ci_high")
POPULATIONS = (
    "panel", "population", "manual_population", "of", "n_tubes", "median", "manual_median",
    *(f"bias{end}" for end in _LIMITS), "sd",
    *(f"{limit}_limit{end}" for limit in ("lower", "upper") for end in _LIMITS),
    *(f"ratio{end}" for end in _LIMITS), "ratio_lower_limit", "ratio_upper_limit",
    *(f"ccc{end}" for end in _LIMITS), "correlation", "accuracy",
    "f1_median", "f1_lowest", "f1_lowest_in", "precision_median", "recall_median", "verdict",
)  # fmt: skip
FEW_EVENTS, FEW_PERCENT = 5, 5.0
"""FlowJo decides polygons on the bins of its display: counts that differ by less are its own."""


@dataclass(frozen=True)
class Agreed:
    """What was compared and what was not."""

    page: Path
    populations: tuple[Row, ...]
    doubts: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether all of the manual gating was compared, and each population reached what was asked."""
        return not self.doubts and all(row["verdict"] in {"", "pass"} for row in self.populations)

    def in_words(self) -> str:
        lines = [_in_words(row) for row in self.populations]
        return "\n".join([*lines, *self.doubts, f"agreement  {self.page}"])


def _in_words(row: Row) -> str:
    ccc = "CCC unknown" if unknown(row["ccc"]) else f"CCC {row['ccc']:.3f}"
    f1 = "F1 unknown" if unknown(row["f1_median"]) else f"F1 {row['f1_median']:.3f}"
    bias = f"bias {row['bias']:+.2f} points"
    verdict = f"; {row['verdict']}" if row["verdict"] else ""
    of = f"per cent of {row['of']}"
    return f"{row['panel']}: {row['population']} ({of}), {row['n_tubes']} tubes: {bias}, {ccc}, {f1}{verdict}"


def compare_with_manual(
    plan: Plan,
    manual: Path,
    *,
    panel: str | None = None,
    mapping: Sequence[str] = (),
    tubes: Sequence[str] = (),
    wanted: Wanted | None = None,
    output: Path | None = None,
    progress: Progress = untold,
) -> Agreed:
    """Compare a run's populations with a manual gating; write a page and two tables.

    Parameters
    ----------
    manual : Path
        A FlowJo 10 workspace (tubes by file name), a GatingML 2.0 file (for every tube) or a folder of
        GatingML files named <sample_id>.xml.
    panel : only the tubes of this panel
    mapping : sequence of "ours=theirs"; populations of one name need none
    tubes : sequence of sample_id; all tubes of role `sample` that the manual gating has, if there is none
    wanted : what each population must reach
    output : where the page goes; the tables stand beside it
    progress : told how many tubes have been compared

    Raises
    ------
    ConfigError
        If nothing can be compared, or a name that was given is not there; near misses are suggested.
    TemplateError
        If the manual gating cannot be read.
    """
    run, theirs, pairs = GatedRun(plan), read_manual(manual), read_mapping(mapping)
    chosen = _tubes(run, theirs, panel=panel, tubes=tubes)
    comparison = Comparison(run, theirs, pairs)
    comparison.require_populations(chosen)
    rows = comparison.rows(chosen, progress)
    populations = list(summarise(rows, wanted or Wanted()))
    doubts = [*comparison.doubts, *_left_over(run, theirs, asked=bool(tubes or panel))]
    doubts += [*_unlike_flowjo(rows), *comparison.not_compared(chosen)]
    page = output or plan.layout.agreement
    write_table(page.with_suffix(".tubes.csv"), TUBES, rows)
    write_table(page.with_suffix(".csv"), POPULATIONS, populations)
    versions = {run.populations[row["sample_id"]][ROOT]["gating_version"] for row in rows}
    facts = {
        "Study": plan.trial.settings.study,
        "Manual gating": f"{manual.name} ({_digest(manual)})",
        "Gating version": ", ".join(sorted(versions)),
        "Tubes compared": str(len({row["sample_id"] for row in rows})),
    }
    write_text(page, render_agreement(AgreementPage(facts, tuple(populations), tuple(rows), tuple(doubts))))
    return Agreed(page, tuple(populations), tuple(doubts))


def _digest(manual: Path) -> str:
    """What the manual gating is known by: the beginning of the SHA-256 of its file or files."""
    if not manual.is_dir():
        return f"SHA-256 {sha256_of(manual)[:12]}"
    files = [[path.name, sha256_of(path)] for path in sorted(manual.glob("*.xml"))]
    return f"{len(files)} files, SHA-256 {digest(files)[:12]}"


# Which tubes


def _tubes(run: GatedRun, manual: Manual, *, panel: str | None, tubes: Sequence[str]) -> list[Tube]:
    """The tubes that both gatings have.

    Raises
    ------
    ConfigError
        If a tube that was asked for is not among them, if none is, or if two have one name.
    """
    asked = run.chosen(tubes, panel=panel)
    if not tubes:
        samples = [tube for tube in run.tubes.values() if tube.role is Role.SAMPLE]
        asked = [tube for tube in samples if panel in {None, tube.panel} and tube.status == "DONE"]
    matched = [tube for tube in asked if manual.of(tube) is not None]
    problems = [
        f"tube {tube.sample_id}: the manual gating has no {manual.name_of(tube)}"
        f"{nearest(manual.name_of(tube), manual.strategies)}"
        for tube in asked
        if tubes and tube not in matched
    ]
    if not matched and not problems:
        names = [manual.name_of(tube) for tube in asked]
        found = list(manual.strategies)
        what = "FCS file names" if manual.named_by == "file" else "sample_ids"
        problems = [
            f"none of its {len(found)} names is one of the {what}: {found[0]}{nearest(found[0], names)}"
        ]
    problems += list(_two_of_one_name(manual, matched))
    if problems:
        raise ConfigError(all_problems(str(manual.path), problems, outcome="nothing was compared"))
    return matched


def _two_of_one_name(manual: Manual, tubes: Iterable[Tube]) -> Iterator[str]:
    """A workspace knows a file by its name only: two files of one name cannot be told apart."""
    by_name: dict[str, list[str]] = {}
    for tube in tubes:
        by_name.setdefault(manual.name_of(tube), []).append(tube.sample_id)
    for name, sample_ids in by_name.items():
        if len(sample_ids) > 1 and manual.named_by == "file":
            yield f"{name} is the file name of tubes {', '.join(sample_ids)}: rename the files"


def _left_over(run: GatedRun, manual: Manual, *, asked: bool) -> Iterator[str]:
    """Names of the manual gating that belong to no tube of the study: perhaps spelt otherwise."""
    if not asked:
        for name in manual.without_tube(list(run.tubes.values())):
            yield f"not compared: the manual gating of {name}"


def _unlike_flowjo(rows: Sequence[Row]) -> Iterator[str]:
    """Where the workspace's gates, applied here, hold other events than FlowJo counted."""
    for row in rows:
        stored, here = row["flowjo_count"], row["manual_events_in_file"]
        if stored is not None and abs(here - stored) > max(FEW_EVENTS, FEW_PERCENT / 100 * stored):
            yield (
                f"tube {row['sample_id']}: {row['manual_population']} has {here} events here and {stored} in "
                "FlowJo: is this the file that the workspace was made with?"
            )
