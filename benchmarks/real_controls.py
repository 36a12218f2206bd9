"""Real single stains, what is estimated from them, and matrices made elsewhere of the same files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cytotrial.files.fcs import inspect_fcs, read_events
from cytotrial.science.compensation import Control, SpilloverEstimate, estimate_spillover

Matrix = npt.NDArray[np.float64]

MOUSE = {
    "FITC": "Alexa Fluor 488-A",
    "PE": "PE-A",
    "7AAD": "7-AAD-A",
    "APC": "Alexa Fluor 647-A",
    "AF700": "Alexa Fluor 700-A",
    "APC-Cy7": "APC-Cy7-A",
}
CALIBUR = {"060909.002": "FL1-H", "060909.003": "FL2-H", "060909.005": "FL3-H", "060909.004": "FL4-H"}


@dataclass(frozen=True, eq=False)
class RealKit:
    """Controls, the estimate and the other matrices, all in the order of `detectors`."""

    controls: list[Control]
    unstained: Control
    detectors: tuple[str, ...]
    estimate: SpilloverEstimate
    others: dict[str, Matrix]

    @property
    def measured(self) -> npt.NDArray[np.bool_]:
        """Entries off the diagonal in rows that have a control."""
        stained = np.isin(self.detectors, [c.detector for c in self.controls])
        return np.asarray(stained[:, None] & ~np.eye(len(self.detectors), dtype=bool))


def mouse(shared: Path) -> RealKit:
    """Mouse splenocytes, LSR II: six dyes in eleven detectors, many positives hardly above the cells."""
    folder = shared / "data" / "cytoexplorer_mouse_activation"
    files = {
        dye: folder / "compensation_controls" / f"Compensation-{dye}.fcs" for dye in [*MOUSE, "Unstained"]
    }
    report = inspect_fcs(files["Unstained"], root=shared)
    assert report.header is not None
    assert report.header.spillover is not None
    detectors = report.header.spillover.detectors
    controls = [read_control(files[dye], d, detectors, "A") for dye, d in MOUSE.items()]
    unstained = read_control(files["Unstained"], "", detectors, "A")
    found = estimate_spillover(
        controls, unstained=unstained, detectors=detectors, stained=list(MOUSE.values())
    )
    others = {
        "embedded": report.header.spillover.values,
        "by hand": _exported(folder / "Compensation-Spillover-Matrix.csv", detectors),
        "universal negative": _exported(
            folder / "expected/Reference-Universal-Spillover-Matrix.csv", detectors
        ),
        "internal negative": _exported(
            folder / "expected/Reference-Internal-Spillover-Matrix.csv", detectors
        ),
    }
    return RealKit(controls, unstained, detectors, found, others)


def calibur(shared: Path) -> RealKit:
    """FACSCalibur: four dyes, four decades of integer log data, nearly every cell stained."""
    folder = shared / "data" / "flowcore_calibur_compensation"
    detectors = tuple(CALIBUR.values())
    controls = [read_control(folder / name, d, detectors, "H") for name, d in CALIBUR.items()]
    unstained = read_control(folder / "060909.001", "", detectors, "H")
    found = estimate_spillover(controls, unstained=unstained, detectors=detectors)
    medians = [line.split()[1:] for line in (folder / "expected/compref").read_text().splitlines()[1:]]
    flowjo = (folder / "expected/compmatrix").read_bytes().decode().split("\r")[3:7]
    others = {
        "flowCore medians": np.array(medians, dtype=np.float64),
        "FlowJo": np.array([row.split("\t") for row in flowjo], dtype=np.float64),
    }
    return RealKit(controls, unstained, detectors, found, others)


def read_control(path: Path, detector: str, detectors: tuple[str, ...], height: str) -> Control:
    """One tube, linear; scatter by area or by height."""
    report = inspect_fcs(path, root=path.parent)
    assert report.header is not None, report.findings
    events = read_events(path, report.header).events
    values = np.stack([events.row(d) for d in detectors]).astype(np.float32)
    scatter = np.stack([events.row(f"{name}-{height}") for name in ("FSC", "SSC")]).astype(np.float32)
    return Control(path.name, detector, values, scatter)


def _exported(path: Path, detectors: tuple[str, ...]) -> Matrix:
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert tuple(rows[0][1:]) == detectors
    return np.array([row[1:] for row in rows[1:]], dtype=np.float64)
