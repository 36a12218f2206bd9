"""Spillover from real single stains, beside the matrices other programs and people made of the same files."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import flowio
import numpy as np
import numpy.typing as npt
import pytest

from cytotrial.errors import CompensationError
from cytotrial.science.compensation import (
    Control,
    SpilloverEstimate,
    compensation_quality,
    estimate_spillover,
    residual_slopes,
)
from cytotrial.terms import FloatArray, SpilloverMatrix

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
class Kit:
    """Real controls, what was estimated from them, and matrices made elsewhere of the same files."""

    controls: list[Control]
    unstained: Control
    detectors: tuple[str, ...]
    estimate: SpilloverEstimate
    others: dict[str, Matrix]

    @property
    def measured(self) -> npt.NDArray[np.bool_]:
        """Entries off the diagonal in rows that have a control."""
        stained = np.isin(self.detectors, [c.detector for c in self.controls])
        return stained[:, None] & ~np.eye(len(self.detectors), dtype=bool)


def read_control(path: Path, detector: str, detectors: tuple[str, ...], height: str) -> Control:
    data = flowio.FlowData(str(path))
    events = data.as_array().T
    rows = [data.pnn_labels.index(d) for d in detectors]
    scatter = [data.pnn_labels.index(f"{name}-{height}") for name in ("FSC", "SSC")]
    return Control(path.name, detector, events[rows].astype(np.float32), events[scatter].astype(np.float32))


def embedded_matrix(path: Path) -> tuple[tuple[str, ...], Matrix]:
    parts = flowio.FlowData(str(path), only_text=True).text["spill"].split(",")
    n = int(parts[0])
    return tuple(parts[1 : n + 1]), np.array(parts[n + 1 :], dtype=np.float64).reshape(n, n)


def exported(path: Path, detectors: tuple[str, ...]) -> Matrix:
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert tuple(rows[0][1:]) == detectors
    return np.array([row[1:] for row in rows[1:]], dtype=np.float64)


@pytest.fixture(scope="module")
def mouse(shared: Path) -> Kit:
    """Mouse splenocytes, LSR II: six dyes in eleven detectors, many positives hardly above the cells."""
    folder = shared / "data" / "cytoexplorer_mouse_activation"
    files = {
        dye: folder / "compensation_controls" / f"Compensation-{dye}.fcs" for dye in [*MOUSE, "Unstained"]
    }
    detectors, embedded = embedded_matrix(files["Unstained"])
    controls = [read_control(files[dye], d, detectors, "A") for dye, d in MOUSE.items()]
    unstained = read_control(files["Unstained"], "", detectors, "A")
    found = estimate_spillover(
        controls, unstained=unstained, detectors=detectors, stained=list(MOUSE.values())
    )
    others = {
        "embedded": embedded,
        "by hand": exported(folder / "Compensation-Spillover-Matrix.csv", detectors),
        "universal negative": exported(
            folder / "expected/Reference-Universal-Spillover-Matrix.csv", detectors
        ),
        "internal negative": exported(folder / "expected/Reference-Internal-Spillover-Matrix.csv", detectors),
    }
    return Kit(controls, unstained, detectors, found, others)


@pytest.fixture(scope="module")
def calibur(shared: Path) -> Kit:
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
    return Kit(controls, unstained, detectors, found, others)


@pytest.fixture(params=["mouse", "calibur"])
def kit(request: pytest.FixtureRequest) -> Kit:
    found: Kit = request.getfixturevalue(request.param)
    return found


def differences(kit: Kit, name: str) -> Matrix:
    return np.abs(kit.estimate.matrix.values - kit.others[name])[kit.measured]


def left_by(kit: Kit, spillover: FloatArray) -> Matrix:
    slopes, _ = residual_slopes(kit.estimate.selections, spillover=spillover, detectors=kit.detectors)
    return np.abs(slopes)[kit.measured]


def medians_left_by(kit: Kit, spillover: FloatArray) -> Matrix:
    """Height of the compensated positives over the negatives per unit of their own brightness, by medians:
    not by the regression the estimate is made with."""
    inverse, left = np.linalg.inv(spillover), np.zeros(spillover.shape)
    for s in kit.estimate.selections:
        rise = np.median(inverse.T @ s.positive, axis=1) - np.median(inverse.T @ s.negative, axis=1)
        left[kit.detectors.index(s.detector)] = rise / rise[kit.detectors.index(s.detector)]
    return np.abs(left)[kit.measured]


def test_the_mouse_matrix_differs_from_the_embedded_one_less_than_two_programs_differ(mouse: Kit) -> None:
    # The embedded and the three exported matrices differ from each other by up to 0.077, on
    # average by 0.005 to 0.012.
    assert differences(mouse, "embedded").max() < 0.03
    assert differences(mouse, "embedded").mean() < 0.007


@pytest.mark.parametrize("name", ["by hand", "universal negative", "internal negative"])
def test_the_mouse_matrix_is_as_near_to_the_exported_ones_as_they_are_to_each_other(
    mouse: Kit, name: str
) -> None:
    assert differences(mouse, name).max() < 0.08
    assert differences(mouse, name).mean() < 0.012


def test_bright_mouse_controls_agree_with_the_hand_made_matrix_within_five_thousandths(mouse: Kit) -> None:
    # FITC and PE are a hundred times brighter than the cells: there is nothing to disagree about.
    rows = [mouse.detectors.index(MOUSE[dye]) for dye in ("FITC", "PE")]
    difference = np.abs(mouse.estimate.matrix.values - mouse.others["by hand"])[rows]
    assert difference.max() < 0.005


def test_the_calibur_matrix_agrees_with_flowjo_and_with_medians(calibur: Kit) -> None:
    # 7-AAD, at a brightness of 60 of 10 000, is the one dye on which FlowJo and medians differ too (0.02).
    assert differences(calibur, "FlowJo").max() < 0.05
    assert differences(calibur, "FlowJo").mean() < 0.006
    assert differences(calibur, "flowCore medians").max() < 0.07
    bright = [0, 1, 3]
    for other in calibur.others.values():
        assert np.abs(calibur.estimate.matrix.values - other)[bright].max() < 0.005


def test_no_other_matrix_leaves_smaller_slopes_in_the_controls(kit: Kit) -> None:
    ours = left_by(kit, kit.estimate.matrix.values)
    assert ours.max() <= 1e-4
    assert min(left_by(kit, other).max() for other in kit.others.values()) > 0.02


def test_by_medians_too_the_mouse_matrix_leaves_less_than_any_other(mouse: Kit) -> None:
    ours = medians_left_by(mouse, mouse.estimate.matrix.values)
    for other in mouse.others.values():
        assert ours.max() < medians_left_by(mouse, other).max()
        assert ours.mean() < medians_left_by(mouse, other).mean() / 2


def test_any_two_swapped_tubes_are_named_and_no_third_is_accused(kit: Kit) -> None:
    stained = [c.detector for c in kit.controls]
    for i, j in combinations(range(len(stained)), 2):
        a, b = kit.controls[i], kit.controls[j]
        swapped = list(kit.controls)
        swapped[i] = replace(a, values=b.values, scatter=b.scatter)
        swapped[j] = replace(b, values=a.values, scatter=a.scatter)
        with pytest.raises(CompensationError, match="2 problems") as caught:
            estimate_spillover(swapped, unstained=kit.unstained, detectors=kit.detectors, stained=stained)
        assert f"control {a.name!r} for {a.detector!r} is brightest in {b.detector!r}" in str(caught.value)
        assert f"control {b.name!r} for {b.detector!r} is brightest in {a.detector!r}" in str(caught.value)


def test_seven_aad_with_a_fifth_of_its_events_has_too_few_dead_cells(mouse: Kit) -> None:
    short = [replace(c, values=c.values[:, :10_000], scatter=c.scatter[:, :10_000]) for c in mouse.controls]  # type: ignore[index]
    with pytest.raises(CompensationError, match="at least 300 are needed") as caught:
        estimate_spillover(
            short, unstained=mouse.unstained, detectors=mouse.detectors, stained=list(MOUSE.values())
        )
    assert "1 problem;" in str(caught.value)
    assert "'Compensation-7AAD.fcs' for '7-AAD-A'" in str(caught.value)


def test_the_figures_name_the_pairs_in_which_the_embedded_matrix_leaves_light(mouse: Kit) -> None:
    embedded = SpilloverMatrix(mouse.detectors, mouse.others["embedded"], origin="embedded")
    quality = compensation_quality(embedded, mouse.estimate.selections, reference=mouse.estimate.matrix)
    flagged = {(p.detector, p.into) for p in quality.pairs if "residual_slope" in p.flags}
    # Qdot 605 sits beside PE; the embedded matrix took 0.132 of PE there, every other one 0.15 or more.
    assert ("PE-A", "Qdot 605-A") in flagged
    assert all(p.residual_slope is None for p in quality.pairs if p.detector == "Qdot 605-A")
    assert len(quality.pairs) == 11 * 10
