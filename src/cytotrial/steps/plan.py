"""What has to be done: units of work, their tubes, and what each rule's result depends on.

Made once from config, sheets and the folder of FCS files, before the workflow defines a rule.
A *unit* is what one job takes: the tubes of a subject (or of a shard of subjects), or the
controls of a batch that belong to nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cytotrial.errors import ConfigError, all_problems
from cytotrial.files.fingerprints import fingerprints, sha256_of
from cytotrial.files.lock import REMEDY, Lock, read_lock
from cytotrial.files.sheets.samples import one_stain_for_several
from cytotrial.settings import Absolute, Percent, Settings, canonical, digest
from cytotrial.steps.layout import Layout
from cytotrial.steps.outline import Outline, outline_of
from cytotrial.steps.trial import Trial, load_trial
from cytotrial.steps.tubes import STAINED_ALONE
from cytotrial.terms import Role, Tube

CONTROLS = {Role.FMO, Role.ISOTYPE, Role.UNSTIMULATED}
GATED_ROLES = {Role.SAMPLE, *CONTROLS}
ANY_MARKER = {Role.UNSTIMULATED}
"""Controls that a template names by their role alone."""


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
    def gated_panels(self) -> tuple[str, ...]:
        return tuple(sorted({panel for panel, _ in self.gating_jobs}))

    @cached_property
    def matrices(self) -> tuple[tuple[str, str], ...]:
        """(panel, batch) of every spillover matrix that is written."""
        return tuple(
            sorted(
                {
                    (tube.panel, tube.batch)
                    for tube in self.trial.tubes
                    if self.compensation(tube.panel) != "none" and tube.role in GATED_ROLES
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

    def compensation(self, panel: str) -> str:
        return self.trial.settings.panels[panel].compensation

    def tubes_to_gate(self, panel: str, unit: str) -> tuple[Tube, ...]:
        return tuple(tube for tube in self.units[unit] if tube.panel == panel and tube.role in GATED_ROLES)

    @cached_property
    def outlines(self) -> dict[str, Outline]:
        """Panel → which controls its gates look at, and whether they are drawn towards the batch."""
        panels = self.trial.settings.panels
        return {panel: outline_of(Path(settings.gating)) for panel, settings in panels.items()}

    def controls_of(self, panel: str, unit: str) -> tuple[Tube, ...]:
        """The controls, of other units, that the gates of a unit may look at.

        They are those of the unit's batches; where a batch has no control of some kind that the gates look
        at, those of all other batches, of which the nearest in time is taken.
        """
        batches = {tube.batch for tube in self.tubes_to_gate(panel, unit)}
        found: set[str] = set()
        for key in self.outlines[panel].controls:
            for batch in batches:
                shared = self._shared_controls.get((panel, *key), ())
                own = [tube.sample_id for tube in shared if tube.batch == batch]
                found.update(own or (tube.sample_id for tube in shared))
        tubes = [tube for tube in self.trial.tubes if tube.sample_id in found and self.unit_of(tube) != unit]
        return tuple(sorted(tubes, key=lambda tube: tube.sample_id))

    @cached_property
    def _shared_controls(self) -> dict[tuple[str, str, str], list[Tube]]:
        """(panel, role, marker) → the controls that belong to no draw and have a file."""
        controls: dict[tuple[str, str, str], list[Tube]] = {}
        for tube in self.trial.tubes:
            if tube.role in CONTROLS and not tube.subject and self.files_of([tube]):
                marker = "" if tube.role in ANY_MARKER else tube.control_for
                controls.setdefault((tube.panel, tube.role.value, marker), []).append(tube)
        return controls

    # A gating that was locked

    @cached_property
    def lock(self) -> Lock | None:
        """What later tubes must not change; None of a trial that is not locked."""
        locked = self.trial.settings.locked
        return None if locked is None else read_lock(Path(locked))

    def locked_pool(self, panel: str, batch: str) -> Mapping[str, Mapping[str, Any]] | None:
        """Where a locked batch has its gates; None of a batch that is not locked."""
        return None if self.lock is None else self.lock.pool_of(panel, batch)

    def digest_of_gating(self, panel: str) -> dict[str, str]:
        """Digests of what a panel is gated by: its gating, its reference, and its settings."""
        settings = self.trial.settings.panels[panel]
        return {
            "gating": sha256_of(Path(settings.gating)),
            "reference": sha256_of(Path(settings.reference.file)) if settings.reference else "",
            "settings": digest(self.settings_of("gate", panel=panel)),
        }

    def changed_since_locked(self) -> Iterator[str]:
        """What a locked panel is gated by that is no more what it was."""
        for panel in self.trial.settings.panels if self.lock else ():
            assert self.lock is not None
            if panel in self.lock.panels:
                now, then = self.digest_of_gating(panel), self.lock.panels[panel].model_dump()
                changed = [name for name, value in now.items() if then[name] != value]
                if changed:
                    yield f"panels.{panel}: {' and '.join(changed)} changed since the gating was locked"

    # Gates that are drawn towards where the other tubes of the batch have them

    @cached_property
    def placed_panels(self) -> frozenset[str]:
        """The panels whose tubes are looked at twice: once alone, once with what their batch says."""
        panels = self.trial.settings.panels.items()
        return frozenset(
            name for name, panel in panels if panel.batch_reference and self.outlines[name].drawn
        )

    @cached_property
    def pools(self) -> tuple[tuple[str, str], ...]:
        """(panel, batch) of every batch whose tubes say together where their gates lie."""
        pooled = {(tube.panel, tube.batch) for tube in self.trial.tubes if self._pooled(tube)}
        return tuple(sorted(pooled))

    def _pooled(self, tube: Tube) -> bool:
        return tube.panel in self.placed_panels and tube.role is Role.SAMPLE and bool(self.files_of([tube]))

    def units_pooled(self, panel: str, batch: str) -> tuple[str, ...]:
        """The units whose tubes a batch's pool is made of; none if it is locked."""
        if self.locked_pool(panel, batch) is not None:
            return ()
        tubes = [tube for tube in self.trial.tubes if (tube.panel, tube.batch) == (panel, batch)]
        return self.units_of(tube for tube in tubes if self._pooled(tube))

    def pools_of(self, panel: str, unit: str) -> tuple[str, ...]:
        """The batches whose pools the gates of a unit lean on."""
        batches = {tube.batch for tube in self.tubes_to_gate(panel, unit)}
        return tuple(sorted(batch for name, batch in self.pools if name == panel and batch in batches))

    def units_looked_at(self, panel: str, unit: str) -> tuple[str, ...]:
        """The unit and those of the controls that its gates may look at."""
        return tuple(sorted({unit, *self.units_of(self.controls_of(panel, unit))}))

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
        """The tubes a spillover matrix is made from; none if it comes from a file."""
        mode = self.compensation(panel)
        if mode == "controls":
            return self.stained_alone(panel, batch)
        return self.samples_of(panel, batch) if mode == "embedded" else ()

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

    def settings_of(self, rule: str, *, panel: str = "") -> str:
        """A rule's own slice of the configuration, in canonical form."""
        settings = self.trial.settings
        panels = {
            name: entry.model_dump(include={"markers", "compensation", "without_fluorochrome"})
            for name, entry in settings.panels.items()
        }
        slices: dict[str, Any] = {
            "check": {"fcs_dir": settings.fcs_dir, "panels": panels},
            "compensate": [panels.get(panel), self._matrix_file_digest(panel)],
            "read_gating": self._gating_slice(panel) if panel else None,
            "place": {**panels.get(panel, {}), "quality": settings.quality.model_dump()},
            "gate": {**panels.get(panel, {}), "quality": settings.quality.model_dump()},
            "score": {
                "locked": sha256_of(Path(settings.locked)) if settings.locked else "",
                "doubt": settings.doubt.model_dump(),
                "qc_donor": settings.qc_donor.model_dump(),
                "parameters": {code: entry.model_dump() for code, entry in settings.parameters.items()},
                "beads": settings.counts.beads,
            },
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
        reference = self.trial.settings.panels[panel].reference
        learnt = [reference.file, sha256_of(Path(reference.file))] if reference else []
        return [gating, sha256_of(Path(gating)), populations_used(self.trial.settings, panel), *learnt]

    def _matrix_file_digest(self, panel: str) -> str:
        """The content of the file a panel's matrix is read from; empty if it comes from elsewhere."""
        mode = self.compensation(panel) if panel else "none"
        return "" if mode in {"controls", "embedded", "none"} else sha256_of(Path(mode))

    def sheets_of(self, rule: str) -> str:
        """Digest of the sheets that a joining rule reads."""
        trial = self.trial
        sheets: dict[str, Any] = {
            "score": [_row(tube) for tube in trial.tubes],
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


def make_plan(config: Path, *, with_references: bool = True) -> Plan:
    """The plan of a study.

    Parameters
    ----------
    with_references : bool
        Whether the panels' reference files must be there; not so where they are about to be made.

    Raises
    ------
    ConfigError
        With every problem of the configuration and the sheets.
    """
    trial = load_trial(config, with_references=with_references)
    root = Path(trial.settings.fcs_dir)
    named = {root / tube.fcs for tube in trial.tubes if tube.fcs and tube.status == "DONE"}
    inside = sorted(path for path in named if path.resolve().is_relative_to(root.resolve()))
    plan = Plan(trial, fingerprints(inside, cache=Layout(Path(trial.settings.results)).fingerprints))
    if problems := list(plan.changed_since_locked()):
        raise ConfigError(all_problems(str(trial.settings.locked), problems), hint=REMEDY)
    return plan


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
