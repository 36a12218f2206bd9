"""A study as data: its configuration and sheets, checked against each other before anything runs.

No FCS file is opened here: a file that is missing or bad becomes a rejected row of the inventory,
not an error of the study.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from cytotrial.errors import ConfigError, all_problems
from cytotrial.files.bucket import is_bucket, local_folder
from cytotrial.files.overrides import read_overrides
from cytotrial.files.sheets import (
    SheetResult,
    read_cbc,
    read_clinical,
    read_exposure,
    read_samples,
    read_subjects,
    read_visits,
)
from cytotrial.files.yaml_strict import read_yaml
from cytotrial.settings import Settings, Sheets, load_settings
from cytotrial.steps.consistency import (
    SheetsRead,
    doubts,
    missing_references,
    unknown_in_samples,
    unknown_subjects,
    unusable_settings,
)
from cytotrial.steps.study import Trial

__all__ = ["Trial", "load_trial"]

Row = TypeVar("Row")


def load_trial(config: Path, *, with_references: bool = True) -> Trial:
    """The study that a configuration describes.

    Parameters
    ----------
    config : Path
        A YAML file; the paths in it are relative to the current folder.
    with_references : bool
        Whether the panels' reference files must be there; not so where they are about to be made.

    Raises
    ------
    ConfigError
        With every problem of the configuration and of all sheets, file by file.
    """
    plain = read_yaml(config)
    blocks: list[str] = []
    settings: Settings | None = None
    try:
        settings = load_settings(plain, where=str(config))
    except ConfigError as error:
        blocks.append(error.message)
    paths = settings.sheets if settings else _sheet_paths(plain)
    read = _read_sheets(paths) if paths else None
    if settings and read:
        problems = list(unusable_settings(settings, read))
        problems += missing_references(settings) if with_references else []
        blocks += [all_problems(str(config), problems)] if problems else []
    if read and paths:
        blocks += _sheet_blocks(paths, read, settings)
    if settings:
        blocks += _overrides_block(settings)
    if blocks or settings is None or read is None:
        raise ConfigError("\n".join(blocks))
    bucket = settings.fcs_dir if is_bucket(settings.fcs_dir) else ""
    local = {"fcs_dir": local_folder(bucket).as_posix()} if bucket else {}
    return Trial(
        config=config,
        settings=settings.model_copy(update=local),
        tubes=read.samples.rows,
        subjects=tuple(row for row in read.subjects.rows if row.subject not in settings.qc_donor.subjects),
        visits=read.visits.rows,
        cbc=read.cbc.rows,
        clinical=read.clinical.rows,
        exposure=read.exposure.rows,
        extra=read.samples.extra,
        warnings=tuple(doubts(settings, read)),
        storage=bucket.rstrip("/"),
    )


def _overrides_block(settings: Settings) -> list[str]:
    """What is wrong with the overrides file; that it is not there the configuration's own block says."""
    if settings.overrides is None or not Path(settings.overrides).is_file():
        return []
    try:
        read_overrides(Path(settings.overrides))
    except ConfigError as error:
        return [str(error)]
    return []


def _sheet_paths(plain: Mapping[str, Any]) -> Sheets | None:
    """The sheets of a configuration that has problems elsewhere, so that theirs are told too."""
    try:
        return Sheets.model_validate(plain.get("sheets"))
    except ValidationError:
        return None


def _read_sheets(paths: Sheets) -> SheetsRead:
    return SheetsRead(
        samples=read_samples(Path(paths.samples)),
        subjects=read_subjects(Path(paths.subjects)),
        visits=read_visits(Path(paths.visits)),
        cbc=_optional(paths.cbc, read_cbc),
        clinical=_optional(paths.clinical, read_clinical),
        exposure=_optional(paths.exposure, read_exposure),
    )


def _optional(path: str | None, read: Callable[[Path], SheetResult[Row]]) -> SheetResult[Row]:
    return SheetResult("", ()) if path is None else read(Path(path))


def _sheet_blocks(paths: Sheets, read: SheetsRead, settings: Settings | None) -> Iterator[str]:
    """One block of problems per sheet: its own, and what does not fit the other sheets."""
    beside = {
        "samples": unknown_in_samples(read, settings),
        "clinical": unknown_subjects(read.clinical, read.subjects),
        "exposure": unknown_subjects(read.exposure, read.subjects),
    }
    for name in ("samples", "subjects", "visits", "cbc", "clinical", "exposure"):
        problems = [*getattr(read, name).problems, *beside.get(name, ())]
        if problems:
            ordered = sorted(problems, key=lambda problem: problem.line)
            yield all_problems(str(getattr(paths, name)), [str(problem) for problem in ordered])
