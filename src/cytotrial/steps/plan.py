"""What has to be done: units of work, their tubes, and what each rule's result depends on.

Made once from config, sheets and the folder of FCS files, before the workflow defines a rule.
A *unit* is what one job takes: the tubes of a subject (or of a shard of subjects), or the
controls of a batch that belong to nobody.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cytotrial.files.bucket import list_objects, remember_objects, remembered_objects
from cytotrial.files.claim import RUN
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
    """The trial cut into jobs. All orders are sorted, so the same folder gives the same plan.

    fcs_sha256 : path → SHA-256 of every FCS file that exists; in object storage as the sheet says it
    objects : path → size and ETag, of files in object storage
    """

    trial: Trial
    fcs_sha256: Mapping[str, str]
    objects: Mapping[str, str] = field(default_factory=dict)

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
        """The tubes a spillover matrix is made from; none if it comes from a file."""
        mode = self.compensation(panel)
        if mode == "controls":
            return self.stained_alone(panel, batch)
        return self.samples_of(panel, batch) if mode == "embedded" else ()

    def units_of(self, tubes: Iterable[Tube]) -> tuple[str, ...]:
        return tuple(sorted({self.unit_of(tube) for tube in tubes}))

    def files_of(self, tubes: Iterable[Tube]) -> list[str]:
        """Paths of the FCS files that exist; a missing file is an input of no job.

        Nor is one whose time lies in the future (the cytometer's clock was wrong): Snakemake would refuse
        every result of it. Its content decides what reruns (`content_of`), as that of any other.
        """
        now = time.time()
        paths = [self.path_of(tube) for tube in tubes if str(self.path_of(tube)) in self.fcs_sha256]
        return [str(path) for path in paths if self.trial.storage or path.stat().st_mtime <= now]

    def url_of(self, path: str) -> str:
        """Where a file lies in object storage."""
        below = Path(path).relative_to(self.trial.settings.fcs_dir)
        return f"{self.trial.storage}/{below.as_posix()}"

    def content_of(self, tubes: Iterable[Tube]) -> str:
        """Digest of the sheet rows of some tubes, of the bytes of their files, and of their twins."""
        return digest([[_row(tube), *self._state_of(tube), self.twins_of(tube)] for tube in tubes])

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
            "gate": {**panels.get(panel, {}), "quality": settings.quality.model_dump()},
            "count": {
                "counts": settings.counts.model_dump(),
                "parameters": {code: entry.model_dump() for code, entry in settings.parameters.items()},
            },
            "dataset": {"study": settings.study},
            "manifest": [settings.model_dump(mode="json"), self._named_digests()],
            "report": {
                "report": settings.report.model_dump(),
                "study": settings.study,
                "counts": settings.counts.model_dump(),
            },
        }
        return canonical(slices[rule])

    @cached_property
    def files_named(self) -> tuple[Path, ...]:
        """The configuration and the files that it names: sheets, gatings, matrices, references, overrides."""
        return files_in([str(self.trial.config), self.trial.settings.model_dump(mode="json")])

    def _named_digests(self) -> list[list[str]]:
        return [[str(path), sha256_of(path)] for path in self.files_named]

    def _gating_slice(self, panel: str) -> list[Any]:
        """The gating file by name and content (a copy may be older than what it replaces), and its use."""
        gating = self.trial.settings.panels[panel].gating
        return [gating, sha256_of(Path(gating)), populations_used(self.trial.settings, panel)]

    def _matrix_file_digest(self, panel: str) -> str:
        """The content of the file a panel's matrix is read from; empty if it comes from elsewhere."""
        mode = self.compensation(panel) if panel else "none"
        return "" if mode in {"controls", "embedded", "none"} else sha256_of(Path(mode))

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


def make_plan(config: Path, *, fresh: bool = False) -> Plan:
    """The plan of a study.

    Parameters
    ----------
    config : Path
    fresh : bool
        Read every FCS file anew, even if its size and time are those of the last look.

    Raises
    ------
    ConfigError
        With every problem of the configuration and the sheets.
    """
    trial = load_trial(config)
    if trial.storage:
        return _plan_of_bucket(trial)
    root = Path(trial.settings.fcs_dir)
    named = {root / tube.fcs for tube in trial.tubes if tube.fcs and tube.status == "DONE"}
    inside = sorted(path for path in named if path.resolve().is_relative_to(root.resolve()))
    cache = Layout(Path(trial.settings.results)).fingerprints
    return Plan(trial, fingerprints(inside, cache=cache, fresh=fresh))


def populations_used(settings: Settings, panel: str) -> list[str]:
    """The populations of a panel that parameters name."""
    used: set[str] = set()
    for parameter in settings.parameters.values():
        if isinstance(parameter, Absolute) and parameter.panel == panel:
            used |= {parameter.population, settings.counts.beads}
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


def _row(tube: Tube) -> dict[str, Any]:
    row = asdict(tube)
    row.pop("line")
    return row
