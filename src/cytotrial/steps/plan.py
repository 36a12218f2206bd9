"""What has to be done: units of work, their tubes, and what each rule's result depends on.

Made once from config, sheets and the folder of FCS files, before the workflow defines a rule.
A *unit* is what one job takes: the tubes of a subject, or the controls of a batch that belong to nobody;
in a wide trial those of several subjects or batches, a *shard*.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cytotrial.errors import ConfigError, all_problems
from cytotrial.files.bucket import list_objects, remember_objects, remembered_objects
from cytotrial.files.claim import RUN
from cytotrial.files.fingerprints import fingerprints, sha256_of
from cytotrial.files.sheets.samples import one_stain_for_several
from cytotrial.progress import Progress, untold
from cytotrial.settings import Absolute, Percent, Settings, canonical, digest, digest_of_text, event_limits
from cytotrial.steps.layout import Layout
from cytotrial.steps.outline import Outline, outline_of
from cytotrial.steps.study import Trial
from cytotrial.steps.tubes import STAINED_ALONE
from cytotrial.terms import Role, Tube

if TYPE_CHECKING:
    from cytotrial.files.lock import Lock
    from cytotrial.files.overrides import Override

Key = TypeVar("Key")

CONTROLS = {Role.FMO, Role.ISOTYPE, Role.UNSTIMULATED}
GATED_ROLES = {Role.SAMPLE, *CONTROLS}
ANY_MARKER = {Role.UNSTIMULATED}
"""Controls that a template names by their role alone."""

SUBJECTS_PER_CONTROLS = 2
"""Shards of subjects for one of controls: a tube of these is checked, and mostly not gated."""


@dataclass(frozen=True)
class Plan:
    """The trial cut into jobs. All orders are sorted, so the same folder gives the same plan.

    fcs_sha256 : path → SHA-256 of every FCS file that exists; in object storage as the sheet says it
    objects : path → size and ETag, of files in object storage
    outlined : panel → outline of its gating, if that is known already
    """

    trial: Trial
    fcs_sha256: Mapping[str, str]
    objects: Mapping[str, str] = field(default_factory=dict)
    outlined: Mapping[str, Outline] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return Layout(Path(self.trial.settings.results))

    def path_of(self, tube: Tube) -> Path:
        return Path(self.trial.settings.fcs_dir) / tube.fcs

    @cached_property
    def units(self) -> dict[str, tuple[Tube, ...]]:
        """Unit → its tubes, sorted by sample_id."""
        units = _grouped(self.trial.tubes, self.unit_of)
        return {unit: tuple(sorted(units[unit], key=_by_id)) for unit in sorted(units)}

    def unit_of(self, tube: Tube) -> str:
        """The unit of a tube; a shard is chosen by a hash of the subject or batch, never by position."""
        shards = self.trial.settings.execution.shards
        if shards is None:
            return f"subject.{tube.subject}" if tube.subject else f"batch.{tube.batch}"
        if tube.subject:
            return f"shard.{_hashed(tube.subject) % shards:05d}"
        return f"controls.{_hashed(tube.batch) % -(-shards // SUBJECTS_PER_CONTROLS):05d}"

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
                    if self.compensation(tube.panel, tube.batch) != "none" and tube.role in GATED_ROLES
                }
            )
        )

    @cached_property
    def study_digest(self) -> str:
        """Digest of the configuration and of every sheet: the same for all jobs of one run."""
        trial = self.trial
        sheets = (trial.tubes, trial.subjects, trial.visits, trial.cbc, trial.clinical, trial.exposure)
        rows = [[plain_row(row) for row in sheet] for sheet in sheets]
        return digest([trial.settings.model_dump(mode="json"), rows])

    @property
    def summaries(self) -> list[Path]:
        """The tables that the report step writes beside the page: T2 only if there are clinical values."""
        made = self.layout.summaries
        return [path for table, path in made.items() if table != "t2" or self.trial.clinical]

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
        """The controls, of other units, that the gates of a unit may look at.

        They are those of the unit's batches; where a batch has no control of some kind that the gates look
        at, those of all other batches, of which the nearest in time is taken.
        """
        batches = {tube.batch for tube in self.tubes_to_gate(panel, unit)}
        found: dict[str, Tube] = {}
        for key in self.outlines[panel].controls:
            shared = self._shared_controls.get((panel, *key), {})
            for batch in batches:
                of_batches = [shared[batch]] if batch in shared else shared.values()
                found |= {tube.sample_id: tube for tubes in of_batches for tube in tubes}
        return tuple(found[name] for name in sorted(found) if self.unit_of(found[name]) != unit)

    @cached_property
    def outlines(self) -> Mapping[str, Outline]:
        """Panel → which controls its gates look at, and whether they are drawn towards the batch."""
        panels = self.trial.settings.panels
        return self.outlined or {name: outline_of(Path(panel.gating)) for name, panel in panels.items()}

    @cached_property
    def _shared_controls(self) -> dict[tuple[str, str, str], dict[str, list[Tube]]]:
        """(panel, role, marker) → batch → the controls that belong to no draw and have a file."""
        controls: dict[tuple[str, str, str], dict[str, list[Tube]]] = {}
        for tube in self.trial.tubes:
            if tube.role in CONTROLS and not tube.subject and self.files_of([tube]):
                marker = "" if tube.role in ANY_MARKER else tube.control_for
                of_kind = controls.setdefault((tube.panel, tube.role.value, marker), {})
                of_kind.setdefault(tube.batch, []).append(tube)
        return controls

    # Gates placed by hand

    @cached_property
    def overrides(self) -> Mapping[str, list[Override]]:
        """sample_id → its rows of the overrides file, in the file's order."""
        settings = self.trial.settings
        if settings.overrides is None:
            return {}
        from cytotrial.files.overrides import read_overrides, unblinded  # noqa: PLC0415

        names = [tube.sample_id for tube in self.trial.tubes]
        return unblinded(read_overrides(Path(settings.overrides)), names, study=settings.study)

    def overrides_of(self, panel: str, unit: str) -> str:
        """Digest of the overrides of a unit's tubes: others do not concern it."""
        rows = [self.overrides.get(tube.sample_id, []) for tube in self.tubes_to_gate(panel, unit)]
        return digest([[row.line for row in of_tube] for of_tube in rows])

    # A gating that was locked

    @cached_property
    def lock(self) -> Lock | None:
        """What later tubes must not change; None of a trial that is not locked."""
        from cytotrial.files.lock import read_lock  # noqa: PLC0415 (only trials that are locked)

        locked = self.trial.settings.locked
        return None if locked is None else read_lock(Path(locked))

    def locked_pool(self, panel: str, batch: str) -> Mapping[str, Mapping[str, Any]] | None:
        """Where a locked batch has its gates; None of a batch that is not locked."""
        return None if self.lock is None else self.lock.pool_of(panel, batch)

    def locked_pools(self, panel: str) -> dict[str, Mapping[str, Mapping[str, Any]]]:
        """Batch → where it has its gates, of the locked batches."""
        found = {batch: self.locked_pool(panel, batch) for batch in self.pooled_batches}
        return {batch: pool for batch, pool in found.items() if pool is not None}

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

    @cached_property
    def pooled_batches(self) -> tuple[str, ...]:
        """The batches whose tubes say together where gates lie, of any panel."""
        return tuple(sorted({batch for _, batch in self.pools}))

    def units_pooled(self, panel: str) -> tuple[str, ...]:
        """The units whose tubes the pools of a panel are made of; those of locked batches are none."""
        tubes = [tube for tube in self.trial.tubes if tube.panel == panel and self._pooled(tube)]
        return self.units_of(tube for tube in tubes if self.locked_pool(panel, tube.batch) is None)

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
        return tuple(tube for tube in self._by_batch.get((panel, batch), ()) if tube.role in roles)

    @cached_property
    def _by_batch(self) -> dict[tuple[str, str], list[Tube]]:
        """(panel, batch) → its tubes, sorted by sample_id."""
        return _grouped(sorted(self.trial.tubes, key=_by_id), lambda tube: (tube.panel, tube.batch))

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
        """Paths of the FCS files that exist; a missing file is an input of no job.

        Nor is one whose time lies in the future (the cytometer's clock was wrong): Snakemake would refuse
        every result of it. Its content decides what reruns (`content_of`), as that of any other.
        """
        now = time.time()
        paths = [self.path_of(tube) for tube in tubes if str(self.path_of(tube)) in self.fcs_sha256]
        return [str(path) for path in paths if self.trial.storage or not _is_later(path, now)]

    def url_of(self, path: str) -> str:
        """Where a file lies in object storage."""
        below = Path(path).relative_to(self.trial.settings.fcs_dir)
        return f"{self.trial.storage}/{below.as_posix()}"

    def content_of(self, tubes: Iterable[Tube]) -> str:
        """Digest of the sheet rows of some tubes, of the bytes of their files, and of their twins."""
        return digest_of_text(f"[{','.join(self._contents[tube.sample_id] for tube in tubes)}]")

    @cached_property
    def _contents(self) -> dict[str, str]:
        """sample_id → all that a result of the tube may depend on, as canonical text."""
        return {
            tube.sample_id: canonical([_row(tube), *self._state_of(tube), self.twins_of(tube)])
            for tube in self.trial.tubes
        }

    def _state_of(self, tube: Tube) -> list[str]:
        """The content of a tube's file; an object that was replaced has another ETag."""
        stamp = self.objects.get(str(self.path_of(tube)))
        return [self.sha256_of(tube), *([stamp] if stamp else [])]

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
        slices: dict[str, Callable[[], Any]] = {
            "check": lambda: {"fcs_dir": settings.fcs_dir, "panels": self._panels},
            "compensate": lambda: [
                self._panels.get(panel),
                settings.spillover.model_dump(),
                *(self._matrix_sources(panel, batch) if batch else ()),
            ],
            "judge_matrices": lambda: [self._panels.get(panel), settings.spillover.model_dump()],
            "read_gating": lambda: self._gating_slice(panel) if panel else None,
            "place": lambda: self._acquisition_slice(panel),
            "gate": lambda: self._acquisition_slice(panel),
            "score": self._score_slice,
            "count": self._count_slice,
            "dataset": lambda: {
                "study": settings.study,
                "visits": settings.visits.model_dump(),
                "parameters": sorted(settings.parameters),
            },
            "manifest": lambda: [settings.model_dump(mode="json"), self._named_digests()],
            "sdtm": self._cdisc_slice,
            "adam": self._cdisc_slice,
            "define": lambda: [settings.study, settings.cdisc.results_origin],
            "check_dataset": lambda: [self._cdisc_slice(), self._panels],
            "database": lambda: [settings.study, sorted(settings.parameters)],
            "report": lambda: {
                "report": settings.report.model_dump(),
                "study": settings.study,
                "counts": settings.counts.model_dump(),
                "parameters": {code: event_limits(settings, code) for code in settings.parameters},
                "visits": settings.visits.model_dump(),
            },
            "review": lambda: [settings.review.model_dump(), settings.study, self._overrides_digest()],
        }
        return canonical(slices[rule]())

    @cached_property
    def _panels(self) -> dict[str, dict[str, Any]]:
        """Panel → what decides how its tubes are read and compensated."""
        keys = {
            "markers", "compensation", "without_fluorochrome", "matrix_files", "compensation_fallback",
        }  # fmt: skip
        panels = self.trial.settings.panels
        return {name: panel.model_dump(include=keys) for name, panel in panels.items()}

    @property
    def _parameters(self) -> dict[str, Any]:
        return {code: entry.model_dump() for code, entry in self.trial.settings.parameters.items()}

    def _acquisition_slice(self, panel: str) -> dict[str, Any]:
        return {**self._panels.get(panel, {}), "quality": self.trial.settings.quality.model_dump()}

    def _score_slice(self) -> dict[str, Any]:
        settings = self.trial.settings
        return {
            "locked": sha256_of(Path(settings.locked)) if settings.locked else "",
            "doubt": settings.doubt.model_dump(),
            "qc_donor": settings.qc_donor.model_dump(),
            "parameters": self._parameters,
            "beads": settings.counts.beads,
        }

    def _count_slice(self) -> dict[str, Any]:
        settings = self.trial.settings
        return {
            "counts": settings.counts.model_dump(),
            "parameters": self._parameters,
            "panels": {
                name: entry.model_dump(include={"markers", "material"})
                for name, entry in settings.panels.items()
            },
        }

    @cached_property
    def files_named(self) -> tuple[Path, ...]:
        """The configuration and the files that it names: sheets, gatings, matrices, references, overrides."""
        return files_in([str(self.trial.config), self.trial.settings.model_dump(mode="json")])

    def _named_digests(self) -> list[list[str]]:
        return [[str(path), sha256_of(path)] for path in self.files_named]

    def _cdisc_slice(self) -> dict[str, Any]:
        """What the datasets in CDISC form state: tests, terms, and the gating files by their content."""
        settings = self.trial.settings
        return {
            "study": settings.study,
            "cdisc": settings.cdisc.model_dump(),
            "visits": settings.visits.model_dump(),
            "parameters": self._parameters,
            "panels": {
                name: [entry.material, sorted(entry.markers), sha256_of(Path(entry.gating))]
                for name, entry in settings.panels.items()
            },
        }

    def _gating_slice(self, panel: str) -> list[Any]:
        """The gating file by name and content (a copy may be older than what it replaces), and its use."""
        gating = self.trial.settings.panels[panel].gating
        reference = self.trial.settings.panels[panel].reference
        learnt = [reference.file, sha256_of(Path(reference.file))] if reference else []
        return [gating, sha256_of(Path(gating)), populations_used(self.trial.settings, panel), *learnt]

    def _overrides_digest(self) -> str:
        """The content of the overrides file; empty if there is none."""
        return "" if self.trial.settings.overrides is None else sha256_of(Path(self.trial.settings.overrides))

    def _matrix_sources(self, panel: str, batch: str) -> list[Any]:
        """The content of the file a matrix is read from, or the batches it may be taken from, in order."""
        mode = self.compensation(panel, batch)
        if mode not in {"controls", "embedded", "none"}:
            return [sha256_of(Path(mode))]
        return list(self.nearest_batches(panel, batch)) if self.falls_back(panel, batch) else []

    def sheets_of(self, rule: str) -> str:
        """Digest of the sheets that a joining rule reads."""
        return digest_of_text(f"[{','.join(self._sheets[name] for name in SHEETS_READ[rule])}]")

    @cached_property
    def _sheets(self) -> dict[str, str]:
        """Sheet → its rows as canonical text."""
        trial = self.trial
        return {name: canonical([_row(row) for row in getattr(trial, name)]) for name in ALL_SHEETS}


ALL_SHEETS = ("tubes", "subjects", "visits", "cbc", "clinical", "exposure")

SHEETS_READ = {
    "score": ("tubes",),
    "count": ("tubes", "cbc"),
    "review": ("tubes", "visits"),
    "dataset": ("subjects", "visits", "clinical"),
    **dict.fromkeys(("sdtm", "adam", "check_dataset", "database"), ALL_SHEETS),
    "report": ("visits", "clinical", "exposure"),
}
"""Rule → the sheets that it reads."""


def make_plan(
    config: Path, *, fresh: bool = False, with_references: bool = True, progress: Progress = untold
) -> Plan:
    """The plan of a study.

    Parameters
    ----------
    config : Path
    fresh : bool
        Read every FCS file anew, even if its size and time are those of the last look.
    with_references : bool
        Whether the panels' reference files must be there; not so where they are about to be made.
    progress : callable
        Told how many FCS files have been read.

    Raises
    ------
    ConfigError
        With every problem of the configuration and the sheets.
    """
    from cytotrial.steps.trial import load_trial  # noqa: PLC0415 (a job has a plan already: see `kept`)

    trial = load_trial(config, with_references=with_references)
    plan = _plan_of_bucket(trial) if trial.storage else _plan_of_folder(trial, fresh=fresh, progress=progress)
    if problems := list(plan.changed_since_locked()):
        from cytotrial.files.lock import REMEDY  # noqa: PLC0415

        raise ConfigError(all_problems(str(trial.settings.locked), problems), hint=REMEDY)
    if problems := list(_unknown_tubes(plan)):
        raise ConfigError(all_problems(str(trial.settings.overrides), problems))
    return plan


def _plan_of_folder(trial: Trial, *, fresh: bool, progress: Progress) -> Plan:
    """The plan of files that lie in the folder."""
    root = Path(trial.settings.fcs_dir)
    named = {root / tube.fcs for tube in trial.tubes if tube.fcs and tube.status == "DONE"}
    inside = sorted(path for path in named if path.resolve().is_relative_to(root.resolve()))
    cache = Layout(Path(trial.settings.results)).fingerprints
    return Plan(trial, fingerprints(inside, cache=cache, fresh=fresh, progress=progress))


def _unknown_tubes(plan: Plan) -> Iterator[str]:
    """Overrides of tubes that are not in the sheet or have no gates: they would be left out unseen."""
    roles = {tube.sample_id: tube.role for tube in plan.trial.tubes}
    for name, rows in sorted(plan.overrides.items()):
        if name not in roles:
            yield f"{rows[0].override_id}: '{name}' is not a tube of the sample sheet"
        elif roles[name] not in GATED_ROLES:
            yield f"{rows[0].override_id}: '{name}' is a tube of role {roles[name].value}, which has no gates"


def _is_later(path: Path, now: float) -> bool:
    """Whether a file's time lies after `now`; one that vanished meanwhile is Snakemake's to report."""
    try:
        return path.stat().st_mtime > now
    except FileNotFoundError:
        return False


def populations_used(settings: Settings, panel: str) -> list[str]:
    """The populations of a panel that parameters name."""
    used: set[str] = set()
    for parameter in settings.parameters.values():
        if isinstance(parameter, Absolute) and parameter.panel == panel:
            used |= {parameter.population, settings.counts.partner} - {""}
        elif isinstance(parameter, Percent) and parameter.panel == panel:
            used |= {parameter.population, parameter.of}
    return sorted(used)


def _plan_of_bucket(trial: Trial) -> Plan:
    """The plan of files in object storage: none is fetched, the storage says which there are.

    Jobs of a run go by what the run saw when it began.
    """
    file = Layout(Path(trial.settings.results)).objects
    if os.environ.get(RUN) and file.exists():
        listing = remembered_objects(file)
    else:
        listing = list_objects(trial.storage)
        remember_objects(file, listing)
    root = Path(trial.settings.fcs_dir)
    there = [tube for tube in trial.tubes if tube.status == "DONE" and tube.fcs in listing]
    return Plan(
        trial,
        {str(root / tube.fcs): tube.sha256.lower() for tube in there},
        {str(root / tube.fcs): listing[tube.fcs] for tube in there},
    )


def files_in(plain: Any) -> tuple[Path, ...]:
    """The files that a part of the configuration names: whatever text in it is the name of a file."""
    return tuple(sorted(Path(text) for text in {*_texts(plain)} if _is_file(text)))


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # longer than a name can be
        return False


def _texts(plain: Any) -> Iterator[str]:
    if isinstance(plain, Mapping):
        plain = list(plain.values())
    if isinstance(plain, list):
        for value in plain:
            yield from _texts(value)
    elif isinstance(plain, str):
        yield plain


def _row(row: Any) -> dict[str, Any]:
    """A row of a sheet without its place in the file."""
    plain = plain_row(row)
    plain.pop("line", None)
    return plain


def plain_row(row: Any) -> dict[str, Any]:
    """A row of a sheet as column → cell; its cells are text, numbers and nothing else."""
    return {name: getattr(row, name) for name in columns_of(row.__class__)}


@cache
def columns_of(kind: Any) -> tuple[str, ...]:
    """The columns of a kind of row, in its own order."""
    return tuple(column.name for column in fields(kind))


def _grouped(tubes: Iterable[Tube], key: Callable[[Tube], Key]) -> dict[Key, list[Tube]]:
    groups: dict[Key, list[Tube]] = {}
    for tube in tubes:
        groups.setdefault(key(tube), []).append(tube)
    return groups


def _by_id(tube: Tube) -> str:
    return tube.sample_id


@cache
def _hashed(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)
