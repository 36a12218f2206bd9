"""One folder of results, as its tables say it was made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cytotrial.errors import CytotrialError
from cytotrial.files.strategy import gate_from_json, read_strategies
from cytotrial.files.tables import as_written, read_table
from cytotrial.files.whole import read_text
from cytotrial.steps.layout import Layout
from cytotrial.steps.pictures import read_pictures
from cytotrial.terms import Gate, GatingStrategy

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ResultsFolder:
    """The tables of a finished run, read when they are asked for."""

    path: Path

    def require(self) -> None:
        """Raise CytotrialError if the folder does not hold the tables of a finished run."""
        layout = self.layout
        needed = (layout.inventory, layout.gates, layout.populations, layout.counts, layout.candidates)
        absent = [path.relative_to(self.path).as_posix() for path in needed if not path.is_file()]
        if absent:
            raise CytotrialError(
                f"{self.path}: is no folder of finished results: {', '.join(absent)} is not there.",
                hint="Name the folder that `results:` of the configuration names, after snakemake has ended.",
            )

    @property
    def layout(self) -> Layout:
        return Layout(self.path)

    @cached_property
    def inventory(self) -> list[dict[str, str]]:
        return read_table(self.layout.inventory)

    @cached_property
    def counts(self) -> list[dict[str, str]]:
        return read_table(self.layout.counts)

    @cached_property
    def candidates(self) -> list[dict[str, str]]:
        return read_table(self.layout.candidates)

    @cached_property
    def populations(self) -> list[dict[str, str]]:
        rows = read_table(self.layout.populations)
        names = ("population", "parent")
        return [{**row, **{name: as_written(row[name]) for name in names}} for row in rows]

    @cached_property
    def quality(self) -> list[dict[str, str]]:
        return read_table(self.layout.quality) if self.layout.quality.is_file() else []

    @cached_property
    def gate_rows(self) -> dict[str, dict[str, dict[str, str]]]:
        """sample_id → population → its row of gates.csv."""
        tubes: dict[str, dict[str, dict[str, str]]] = {}
        for row in read_table(self.layout.gates):
            tubes.setdefault(row["sample_id"], {})[as_written(row["population"])] = row
        return tubes

    def gates(self, sample_id: str) -> dict[str, tuple[str, Gate]]:
        """A tube's population → (parent, gate)."""
        rows = self.gate_rows.get(sample_id, {})
        return {name: (as_written(row["parent"]), gate_from_json(row["gate"])) for name, row in rows.items()}

    @cached_property
    def studies(self) -> set[str]:
        """The studies that the dataset names: one, or none where there are no parameters."""
        return {row["study"] for row in self.counts}

    @cached_property
    def contents(self) -> dict[str, str]:
        """sample_id → SHA-256 of its FCS file."""
        return {row["sample_id"]: row["fcs_sha256"] for row in self.inventory}

    def strategies(self, panel: str) -> Mapping[str, GatingStrategy]:
        """The gating of a panel, by tube or for all (`*`); empty if the folder does not hold it."""
        path = self.layout.strategy(panel)
        return read_strategies(path) if path.is_file() else {}

    @cached_property
    def panels(self) -> list[str]:
        return sorted({row["panel"] for row in self.populations})

    def versions(self, panel: str) -> list[str]:
        return sorted({row["gating_version"] for row in self.populations if row["panel"] == panel} - {""})

    def matrices(self) -> dict[str, Path]:
        """`<panel>.<batch>` → the file of its spillover matrix."""
        paths = sorted((self.path / "compensation").glob("*.csv"))
        return {path.stem: path for path in paths if not path.name.endswith(".quality.csv")}

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the run recorded about its software and settings; empty if it recorded nothing."""
        path = self.path / MANIFEST
        if not path.is_file():
            return {}
        try:
            plain = json.loads(read_text(path))
        except ValueError as error:
            raise CytotrialError(f"{path}: is not JSON: {error}.", hint="Run snakemake again.") from None
        return plain if isinstance(plain, dict) else {}

    def pictures(self, panel: str, sample_id: str, populations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Population → picture of its gate on one tube, for those that have one."""
        for path in self._picture_files(panel):
            if f'"sample_id":"{sample_id}"' in read_text(path):
                found = read_pictures([path], tubes={sample_id})
                return {one["population"]: one for one in found if one["population"] in populations}
        return {}

    def _picture_files(self, panel: str) -> Iterator[Path]:
        yield from sorted((self.path / "gating" / panel).glob("*.pictures.json"))
