"""A study as data: its configuration and its sheets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cytotrial.files.sheets.study import BloodCount, ClinicalValue, Dose
from cytotrial.settings import Settings
from cytotrial.terms import Subject, Tube, Visit


@dataclass(frozen=True, eq=False)
class Trial:
    """Configuration and sheets of one study, consistent with each other.

    subjects : the participants; quality-control donors are none
    extra : sample_id → cells of the columns that are not interpreted
    warnings : what may be meant so, but deserves a look; one sentence each
    storage : the folder in object storage, if FCS files lie there; `fcs_dir` is then where jobs find them
    """

    config: Path
    settings: Settings
    tubes: tuple[Tube, ...]
    subjects: tuple[Subject, ...]
    visits: tuple[Visit, ...]
    cbc: tuple[BloodCount, ...]
    clinical: tuple[ClinicalValue, ...]
    exposure: tuple[Dose, ...]
    extra: Mapping[str, Mapping[str, str]]
    warnings: tuple[str, ...]
    storage: str = ""

    @property
    def participants_tubes(self) -> tuple[Tube, ...]:
        """The tubes of the trial's own subjects: without controls of batches and quality-control donors."""
        donors = self.settings.qc_donor.subjects
        return tuple(tube for tube in self.tubes if tube.subject and tube.subject not in donors)
