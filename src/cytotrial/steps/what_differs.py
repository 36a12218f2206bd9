"""What two runs of a study differ in: gating, matrices, tubes, masks, software and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cytotrial.errors import CytotrialError
from cytotrial.files.spillover import read_spillover
from cytotrial.files.strategy import strategy_to_plain
from cytotrial.files.whole import read_bytes
from cytotrial.steps.results_folder import ResultsFolder
from cytotrial.terms import GatingStrategy

Difference = tuple[str, str, str]
"""What, in the old run, in the new run."""

NOT_THERE = "–"
MOST = 40
"""Lines that are shown of one kind of difference; the rest is counted."""


def differences(old: ResultsFolder, new: ResultsFolder) -> list[Difference]:
    """Everything that the two folders' tables tell apart, but for the values themselves."""
    return [
        *_shown(_manifest(old, new), "software and settings"),
        *_shown(_gatings(old, new), "gating"),
        *_shown(_matrices(old, new), "spillover matrices"),
        *_shown(_tubes(old, new), "tubes"),
        *_by_hand(old, new),
    ]


def unrecorded(old: ResultsFolder, new: ResultsFolder) -> list[str]:
    """A sentence for each folder that does not say by which software and settings it was made."""
    return [
        f"{folder.path} holds no manifest.json: by which software and settings it was made is not recorded."
        for folder in (old, new)
        if not folder.manifest
    ]


def _shown(found: Iterator[Difference], kind: str) -> list[Difference]:
    lines = list(found)
    more = len(lines) - MOST
    return [*lines[:MOST], *([(f"and {more} more differences of {kind}", "", "")] if more > 0 else [])]


# Software and settings


def _manifest(old: ResultsFolder, new: ResultsFolder) -> Iterator[Difference]:
    """Single facts of the manifests; lists of files are told apart below, by content."""
    if old.manifest and new.manifest:
        yield from _facts(_flat(old.manifest, "manifest"), _flat(new.manifest, "manifest"))


def _flat(plain: Any, name: str) -> dict[str, str]:
    """Nested settings as `a.b.c` → text; lists of files (inputs, outputs) are left out."""
    if isinstance(plain, dict):
        parts = [_flat(value, f"{name}.{key}") for key, value in plain.items() if key not in _FILES]
        return {key: value for part in parts for key, value in part.items()}
    return {name: str(plain)}


_FILES = {"inputs", "outputs", "files", "started", "ended", "run_id", "host", "user"}


def _facts(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for name in dict.fromkeys([*new, *old]):
        before, after = old.get(name, NOT_THERE), new.get(name, NOT_THERE)
        if before != after:
            yield name, _short(before), _short(after)


# Gating


def _gatings(old: ResultsFolder, new: ResultsFolder) -> Iterator[Difference]:
    for panel in sorted({*old.panels, *new.panels}):
        versions = [", ".join(folder.versions(panel)) or NOT_THERE for folder in (old, new)]
        if versions[0] != versions[1]:
            yield f"panel {panel}: gating version", versions[0], versions[1]
        before, after = old.strategies(panel), new.strategies(panel)
        for name in dict.fromkeys([*after, *before]):
            of = f"panel {panel}" if name == "*" else f"panel {panel}, {name}"
            yield from _populations(of, before.get(name), after.get(name))


def _populations(of: str, old: GatingStrategy | None, new: GatingStrategy | None) -> Iterator[Difference]:
    if old is None or new is None:
        yield f"{of}: gating", NOT_THERE if old is None else "there", NOT_THERE if new is None else "there"
        return
    before, after = (_by_name(strategy) for strategy in (old, new))
    for name in dict.fromkeys([*after, *before]):
        if name not in before or name not in after:
            yield (
                f"{of}: population {name}",
                "there" if name in before else NOT_THERE,
                "there" if name in after else NOT_THERE,
            )
            continue
        for what, was, is_now in _facts(_flat(before[name], name), _flat(after[name], name)):
            yield f"{of}: {what}", was, is_now


def _by_name(strategy: GatingStrategy) -> dict[str, dict[str, Any]]:
    return {population["name"]: population for population in strategy_to_plain(strategy)["populations"]}


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


# Matrices


def _matrices(old: ResultsFolder, new: ResultsFolder) -> Iterator[Difference]:
    before, after = old.matrices(), new.matrices()
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            yield (
                f"spillover matrix {name}",
                "there" if name in before else NOT_THERE,
                "there" if name in after else NOT_THERE,
            )
        elif read_bytes(before[name]) != read_bytes(after[name]):
            try:
                one, other = read_spillover(before[name]), read_spillover(after[name])
            except CytotrialError:
                yield f"spillover matrix {name}", "differs", "one of them could not be made"
                continue
            if one.detectors != other.detectors:
                yield f"spillover matrix {name}", ", ".join(one.detectors), ", ".join(other.detectors)
                continue
            row, column = np.unravel_index(np.argmax(np.abs(other.values - one.values)), one.values.shape)
            if one.values[row, column] != other.values[row, column]:
                pair = f"{one.detectors[row]} into {one.detectors[column]}"
                yield (
                    f"spillover matrix {name}, largest difference: {pair}",
                    f"{one.values[row, column]:.4f}",
                    f"{other.values[row, column]:.4f}",
                )


# Tubes


def _tubes(old: ResultsFolder, new: ResultsFolder) -> Iterator[Difference]:
    before, after = ({row["sample_id"]: row for row in folder.inventory} for folder in (old, new))
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            yield (
                f"tube {name}",
                "there" if name in before else NOT_THERE,
                "there" if name in after else NOT_THERE,
            )
            continue
        for column, what in (("fcs_sha256", "FCS file"), ("status", "status"), ("code", "findings")):
            if before[name][column] != after[name][column]:
                yield f"tube {name}: {what}", before[name][column][:60], after[name][column][:60]
    masked = [{row["sample_id"]: row["removed_percent"] for row in folder.quality} for folder in (old, new)]
    moved = [name for name in masked[0] if name in masked[1] and masked[0][name] != masked[1][name]]
    if moved:
        name = moved[0]
        yield (
            f"masked events of {len(moved)} tubes, such as {name}",
            f"{masked[0][name]} %",
            f"{masked[1][name]} %",
        )


def _by_hand(old: ResultsFolder, new: ResultsFolder) -> Iterator[Difference]:
    """How many gates come from where, if that differs."""
    before, after = (_origins(folder) for folder in (old, new))
    for origin in sorted({*before, *after}):
        if before.get(origin, 0) != after.get(origin, 0):
            yield f"gates of origin {origin}", str(before.get(origin, 0)), str(after.get(origin, 0))


def _origins(folder: ResultsFolder) -> dict[str, int]:
    origins: dict[str, int] = {}
    for tube in folder.gate_rows.values():
        for row in tube.values():
            origins[row["origin"]] = origins.get(row["origin"], 0) + 1
    return origins
