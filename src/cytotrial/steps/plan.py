"""What has to be done: units of work, their tubes, and what each rule's result depends on.

Made once from config, sheets and the folder of FCS files, before the workflow defines a rule.
A *unit* is what one job takes: the tubes of a subject (or of a shard of subjects), or the
controls of a batch that belong to nobody.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from cytotrial.files.fingerprints import fingerprints, sha256_of
from cytotrial.files.sheets.samples import one_stain_for_several
from cytotrial.settings import Absolute, Percent, Settings, canonical, digest
from cytotrial.steps.layout import Layout
from cytotrial.steps.trial import Trial, load_trial
from cytotrial.steps.tubes import STAINED_ALONE
from cytotrial.terms import Role, Tube

CONTROLS = {Role.FMO, Role.ISOTYPE, Role.UNSTIMULATED}
GATED_ROLES = {Role.SAMPLE, *CONTROLS}


@dataclass(frozen=True)
class Plan:
    """The trial cut into jobs. All orders are sorted, so the same folder gives the same plan."""

    trial: Trial
    fcs_sha256: Mapping[str, str]

    @property
    def layout(self) -> Layout:
        return Layout(Path(self.trial.settings.results))

    def path_of(self, tube: Tube) -> Path:
        return Path(self.trial.settings.fcs_dir) / tube.fcs

    @cached_property
    def units(self) -> dict[str, tuple[Tube, ...]]:
        """Unit → its tubes, sorted by sample_id."""
        units: dict[str, list[Tube]] = {}
        for tube in self.trial.tubes:
            units.setdefault(self.unit_of(tube), []).append(tube)
        return {unit: tuple(sorted(units[unit], key=lambda tube: tube.sample_id)) for unit in sorted(units)}

    def unit_of(self, tube: Tube) -> str:
        """The unit of a tube; a shard is chosen by a hash of the subject, never by position."""
        shards = self.trial.settings.execution.shards
        if not tube.subject:
            return f"batch.{tube.batch}"
        if shards is None:
            return f"subject.{tube.subject}"
        number = int(hashlib.sha256(tube.subject.encode()).hexdigest(), 16) % shards
        return f"shard.{number:05d}"

    @cached_property
    def gating_jobs(self) -> tuple[tuple[str, str], ...]:
        """(panel, unit) of every gating job."""
        return tuple(
            sorted(
                {
                    (tube.panel, unit)
                    for unit, tubes in self.units.items()
                    for tube in tubes
                    if tube.role in GATED_ROLES
                }
            )
        )

    @cached_property
    def matrices(self) -> tuple[tuple[str, str], ...]:
        """(panel, batch) of every spillover matrix that is written."""
        return tuple(
            sorted(
                {
                    (tube.panel, tube.batch)
                    for tube in self.trial.tubes
                    if self.compensation(tube.panel, tube.batch) != "none" and tube.role in GATED_ROLES
                }
            )
        )

    @cached_property
    def study_digest(self) -> str:
        """Digest of the configuration and of every sheet: the same for all jobs of one run."""
        trial = self.trial
        sheets = (trial.tubes, trial.subjects, trial.visits, trial.cbc, trial.clinical, trial.exposure)
        rows = [[asdict(row) for row in sheet] for sheet in sheets]
        return digest([trial.settings.model_dump(mode="json"), rows])

    def compensation(self, panel: str, batch: str) -> str:
        """Where a batch's matrix comes from: `controls`, `embedded`, `none` or the path of a file."""
        settings = self.trial.settings.panels[panel]
        return settings.matrix_files.get(batch, settings.compensation)

    def falls_back(self, panel: str, batch: str) -> bool:
        """Whether a batch without a usable matrix gets that of another."""
        settings = self.trial.settings.panels[panel]
        return settings.compensation_fallback != "none" and batch not in settings.matrix_files

    def nearest_batches(self, panel: str, batch: str) -> tuple[str, ...]:
        """The panel's other batches, the one drawn nearest in time first; by name where dates are alike."""
        first = self._first_draws(panel)
        here = first.pop(batch, None)

        def days(other: str) -> float:
            there = first[other]
            return abs((there - here).days) if here is not None and there is not None else math.inf

        return tuple(sorted(first, key=lambda other: (days(other), other)))

    def _first_draws(self, panel: str) -> dict[str, date | None]:
        """Batch → the day of its first draw, of one panel's tubes; None if no draw has a date."""
        draws: dict[str, list[date]] = {}
        for tube in self.trial.tubes:
            if tube.panel == panel:
                days = draws.setdefault(tube.batch, [])
                days += [date.fromisoformat(tube.collected[:10])] if tube.collected else []
        return {batch: min(days, default=None) for batch, days in sorted(draws.items())}

    def tubes_to_gate(self, panel: str, unit: str) -> tuple[Tube, ...]:
        return tuple(tube for tube in self.units[unit] if tube.panel == panel and tube.role in GATED_ROLES)

    def controls_of(self, panel: str, unit: str) -> tuple[Tube, ...]:
        """The batch's controls, of other units, that the gates of a unit may look at."""
        batches = {tube.batch for tube in self.tubes_to_gate(panel, unit)}
        return tuple(
            tube
            for tube in self._batch_controls
            if tube.panel == panel and tube.batch in batches and self.unit_of(tube) != unit
        )

    @cached_property
    def _batch_controls(self) -> tuple[Tube, ...]:
        controls = [tube for tube in self.trial.tubes if tube.role in CONTROLS and not tube.subject]
        return tuple(sorted(controls, key=lambda tube: tube.sample_id))

    def stained_alone(self, panel: str, batch: str) -> tuple[Tube, ...]:
        """The single stains and unstained controls of a panel and batch."""
        return self._tubes_of(panel, batch, STAINED_ALONE)

    def samples_of(self, panel: str, batch: str) -> tuple[Tube, ...]:
        return self._tubes_of(panel, batch, GATED_ROLES)

    def _tubes_of(self, panel: str, batch: str, roles: set[Role]) -> tuple[Tube, ...]:
        return tuple(
            sorted(
                (
                    tube
                    for tube in self.trial.tubes
                    if (tube.panel, tube.batch) == (panel, batch) and tube.role in roles
                ),
                key=lambda tube: tube.sample_id,
            )
        )

    def tubes_for_matrix(self, panel: str, batch: str) -> tuple[Tube, ...]:
        """The tubes that a spillover matrix is made from or judged on."""
        batches = (batch, *(self.nearest_batches(panel, batch) if self.falls_back(panel, batch) else ()))
        embedded = self.compensation(panel, batch) == "embedded"
        return tuple(
            tube
            for one in batches
            for tube in (
                *self.stained_alone(panel, one),
                *(self.samples_of(panel, one) if embedded else ()),
            )
        )

    def tubes_for_slopes(self, panel: str) -> tuple[Tube, ...]:
        """A few sample tubes of each batch in which remaining slopes are measured, chosen by a hash."""
        wanted = self.trial.settings.spillover.sample_tubes
        by_hash = sorted(
            (hashlib.sha256(tube.sample_id.encode()).hexdigest(), tube.sample_id, tube)
            for tube in self.trial.tubes
            if tube.panel == panel and tube.role is Role.SAMPLE and tube.status == "DONE"
        )
        chosen: dict[str, list[Tube]] = {}
        for _, _, tube in by_hash:
            chosen.setdefault(tube.batch, []).append(tube)
        return tuple(tube for batch in sorted(chosen) for tube in chosen[batch][:wanted])

    def judged_panels(self) -> tuple[str, ...]:
        """The panels that have a spillover matrix."""
        return tuple(sorted({panel for panel, _ in self.matrices}))

    def units_of(self, tubes: Iterable[Tube]) -> tuple[str, ...]:
        return tuple(sorted({self.unit_of(tube) for tube in tubes}))

    def files_of(self, tubes: Iterable[Tube]) -> list[str]:
        """Paths of the FCS files that exist; a missing file is an input of no job."""
        return [str(self.path_of(tube)) for tube in tubes if str(self.path_of(tube)) in self.fcs_sha256]

    def content_of(self, tubes: Iterable[Tube]) -> str:
        """Digest of the sheet rows of some tubes, of the bytes of their files, and of their twins."""
        return digest([[_row(tube), self.sha256_of(tube), self.twins_of(tube)] for tube in tubes])

    def sha256_of(self, tube: Tube) -> str:
        """SHA-256 of the tube's file; empty if there is none."""
        return self.fcs_sha256.get(str(self.path_of(tube)), "")

    def twins_of(self, tube: Tube) -> list[str]:
        """Other tubes whose files hold the very same bytes: at least one of them is the wrong file."""
        same = self._by_content.get(self.sha256_of(tube), [])
        others = [other for other in same if other.sample_id != tube.sample_id]
        return [other.sample_id for other in others if not one_stain_for_several(tube, other)]

    @cached_property
    def _by_content(self) -> dict[str, list[Tube]]:
        tubes: dict[str, list[Tube]] = {}
        for tube in sorted(self.trial.tubes, key=lambda tube: tube.sample_id):
            if tube.status == "DONE" and (content := self.sha256_of(tube)):
                tubes.setdefault(content, []).append(tube)
        return tubes

    def settings_of(self, rule: str, *, panel: str = "", batch: str = "") -> str:
        """A rule's own slice of the configuration, in canonical form."""
        settings = self.trial.settings
        keys = {
            "markers", "compensation", "without_fluorochrome", "matrix_files", "compensation_fallback",
        }  # fmt: skip
        panels = {name: entry.model_dump(include=keys) for name, entry in settings.panels.items()}
        slices: dict[str, Any] = {
            "check": {"fcs_dir": settings.fcs_dir, "panels": panels},
            "compensate": [
                panels.get(panel),
                settings.spillover.model_dump(),
                *(self._matrix_sources(panel, batch) if batch else ()),
            ],
            "judge_matrices": [panels.get(panel), settings.spillover.model_dump()],
            "read_gating": self._gating_slice(panel) if panel else None,
            "gate": {**panels.get(panel, {}), "quality": settings.quality.model_dump()},
            "count": {
                "counts": settings.counts.model_dump(),
                "parameters": {code: entry.model_dump() for code, entry in settings.parameters.items()},
            },
            "dataset": {"study": settings.study},
            "report": {
                "report": settings.report.model_dump(),
                "study": settings.study,
                "counts": settings.counts.model_dump(),
            },
        }
        return canonical(slices[rule])

    def _gating_slice(self, panel: str) -> list[Any]:
        """The gating file by name and content (a copy may be older than what it replaces), and its use."""
        gating = self.trial.settings.panels[panel].gating
        return [gating, sha256_of(Path(gating)), populations_used(self.trial.settings, panel)]

    def _matrix_sources(self, panel: str, batch: str) -> list[Any]:
        """The content of the file a matrix is read from, or the batches it may be taken from, in order."""
        mode = self.compensation(panel, batch)
        if mode not in {"controls", "embedded", "none"}:
            return [sha256_of(Path(mode))]
        return list(self.nearest_batches(panel, batch)) if self.falls_back(panel, batch) else []

    def sheets_of(self, rule: str) -> str:
        """Digest of the sheets that a joining rule reads."""
        trial = self.trial
        sheets: dict[str, Any] = {
            "count": [_row(tube) for tube in trial.tubes],
            "dataset": [
                [asdict(subject) for subject in trial.subjects],
                [asdict(visit) for visit in trial.visits],
                [asdict(value) for value in trial.clinical],
            ],
            "report": [
                [asdict(visit) for visit in trial.visits],
                [asdict(value) for value in trial.clinical],
                [asdict(dose) for dose in trial.exposure],
            ],
        }
        return digest(sheets[rule])


def make_plan(config: Path) -> Plan:
    """The plan of a study.

    Raises
    ------
    ConfigError
        With every problem of the configuration and the sheets.
    """
    trial = load_trial(config)
    root = Path(trial.settings.fcs_dir)
    named = {root / tube.fcs for tube in trial.tubes if tube.fcs and tube.status == "DONE"}
    inside = sorted(path for path in named if path.resolve().is_relative_to(root.resolve()))
    return Plan(trial, fingerprints(inside, cache=Layout(Path(trial.settings.results)).fingerprints))


def populations_used(settings: Settings, panel: str) -> list[str]:
    """The populations of a panel that parameters name."""
    used: set[str] = set()
    for parameter in settings.parameters.values():
        if isinstance(parameter, Absolute) and parameter.panel == panel:
            used |= {parameter.population, settings.counts.beads}
        elif isinstance(parameter, Percent) and parameter.panel == panel:
            used |= {parameter.population, parameter.of}
    return sorted(used)


def _row(tube: Tube) -> dict[str, Any]:
    row = asdict(tube)
    row.pop("line")
    return row
