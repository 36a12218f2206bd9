"""Spillover estimated from simulated single stains whose matrix is known; what is refused, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from cytotrial.errors import CompensationError
from cytotrial.science.compensation import (
    Control,
    SpilloverEstimate,
    check_spillover,
    compensation_matrix,
    compensation_quality,
    estimate_spillover,
    residual_slopes,
)
from cytotrial.terms import Outcome, SpilloverMatrix

Matrix = npt.NDArray[np.float64]

DETECTORS = ("B1-A", "B2-A", "B3-A", "R1-A", "R2-A", "V1-A")

TRUE = np.array(
    [
        [1.0, 0.20, 0.08, 0.0, 0.0, 0.01],
        [0.012, 1.0, 0.52, 0.001, 0.0005, 0.0],
        [0.002, 0.15, 1.0, 0.02, 0.30, 0.0],
        [0.0, 0.0, 0.02, 1.0, 0.36, 0.0],
        [0.0, 0.001, 0.01, 0.05, 1.0, 0.002],
        [0.03, 0.01, 0.0, 0.0, 0.0, 1.0],
    ]
)
"""What the simulated instrument does; of the size of a three-laser panel, a tandem included."""

OFF_DIAGONAL = ~np.eye(len(DETECTORS), dtype=bool)


def single_stain(
    rng: np.random.Generator,
    stain: int | None,
    *,
    n: int = 20_000,
    positive: float = 0.4,
    brightness: float = 8_000.0,
    spread: float = 0.5,
) -> Control:
    """Cells of uneven size and autofluorescence with debris, a log-normal stain, photons, amplifier noise."""
    size = rng.lognormal(0, 0.3, n)
    scatter = np.stack(
        [60_000 * size * rng.lognormal(0, 0.1, n), 25_000 * size * rng.lognormal(0, 0.25, n)]
    ).astype(np.float32)
    light = size * rng.lognormal(0, 0.3, n) * np.array([60.0, 50, 45, 20, 12, 90])[:, None]
    debris = rng.random(n) < 0.15
    scatter[:, debris] *= 0.2
    light[:, debris] *= 0.3
    if stain is not None:
        stained = (rng.random(n) < positive) & ~debris
        light = light + TRUE[stain][:, None] * np.where(
            stained, brightness * rng.lognormal(0, spread, n), 0.0
        )
    values = rng.poisson(light / 4) * 4.0 + rng.normal(0, 15, light.shape)  # 4 units per photo-electron
    detector = "" if stain is None else DETECTORS[stain]
    return Control(
        "unstained" if stain is None else f"tube-{detector}", detector, values.astype(np.float32), scatter
    )


Kit = tuple[list[Control], Control]


def simulated(seed: int, **kind: float) -> Kit:
    rng = np.random.default_rng(seed)
    return [single_stain(rng, i, **kind) for i in range(len(DETECTORS))], single_stain(rng, None)  # type: ignore[arg-type]


def estimate(kit: Kit) -> SpilloverEstimate:
    return estimate_spillover(kit[0], unstained=kit[1], detectors=DETECTORS)


def refusal(controls: list[Control], unstained: Control | None) -> str:
    with pytest.raises(CompensationError) as caught:
        estimate_spillover(controls, unstained=unstained, detectors=DETECTORS)
    return str(caught.value)


@pytest.fixture(scope="module")
def kit() -> Kit:
    return simulated(1)


def changed(kit: Kit, index: int, **fields: object) -> list[Control]:
    return [replace(c, **fields) if i == index else c for i, c in enumerate(kit[0])]  # type: ignore[arg-type]


# --- accuracy, against the matrix the simulation was made with ---


@pytest.mark.parametrize("seed", range(3))
def test_bright_controls_give_every_spillover_within_a_thousandth(seed: int) -> None:
    found = estimate(simulated(seed))
    error = np.abs(found.matrix.values - TRUE)[OFF_DIAGONAL]
    assert error.max() < 0.001
    assert error.mean() < 0.0003
    assert np.array_equal(np.diagonal(found.matrix.values), np.ones(6))


def test_a_few_hundred_positive_events_are_enough_for_three_thousandths() -> None:
    found = estimate(simulated(2, n=12_000, positive=0.07))
    assert 300 <= min(found.n_positive) < max(found.n_positive) < 700
    assert np.abs(found.matrix.values - TRUE).max() < 0.003


def test_dim_controls_are_within_two_hundredths() -> None:
    # Median brightness 400, a tenth of usual, beside autofluorescence of 20 to 90 and 5 % positives.
    assert np.abs(estimate(simulated(3, brightness=400.0, positive=0.05)).matrix.values - TRUE).max() < 0.02


def test_beads_without_a_negative_among_them_need_only_the_unstained_control() -> None:
    found = estimate(simulated(4, positive=1.0, brightness=40_000.0, spread=0.05))
    assert np.abs(found.matrix.values - TRUE).max() < 0.001


def test_without_an_unstained_control_each_tube_serves_as_its_own_and_says_so(kit: Kit) -> None:
    found = estimate_spillover(kit[0], unstained=None, detectors=DETECTORS)
    assert np.abs(found.matrix.values - TRUE).max() < 0.002
    assert [f.code for f in found.findings] == ["control.own_negatives"] * 6


def test_without_scatter_the_matrix_is_found_all_the_same(kit: Kit) -> None:
    controls = [replace(c, scatter=None) for c in kit[0]]
    assert np.abs(estimate((controls, replace(kit[1], scatter=None))).matrix.values - TRUE).max() < 0.002


def test_integers_on_a_log_scale_made_linear_give_the_matrix_within_three_thousandths(kit: Kit) -> None:
    # Four decades in 1024 steps, as a FACSCalibur records; nothing below 1 exists there.
    def recorded(tube: Control) -> Control:
        steps = np.clip(np.floor(1024 / 4 * np.log10(np.maximum(tube.values, 1e-3) / 26.2)), 0, 1023)
        return replace(tube, values=(10 ** (4 * steps / 1024)).astype(np.float32))

    found = estimate(([recorded(c) for c in kit[0]], recorded(kit[1])))
    assert np.abs(found.matrix.values - TRUE).max() < 0.003


def test_saturated_events_are_left_out_and_told_without_moving_the_matrix(kit: Kit) -> None:
    # A detector that ends at 25 000 clips the brightest 1.1 % (z = ln(25/8) / 0.5 = 2.28) of the positives.
    clipped = changed(kit, 0, values=np.minimum(kit[0][0].values, np.float32(25_000)))
    found = estimate((clipped, kit[1]))
    assert np.abs(found.matrix.values - TRUE).max() < 0.001
    assert [f.code for f in found.findings] == ["control.saturated"]
    assert found.selections[0].saturated == pytest.approx(0.011, abs=0.004)


def test_the_end_of_a_detector_can_be_stated_in_place_of_being_seen(kit: Kit) -> None:
    limits = np.full(6, 25_000.0)
    found = estimate_spillover(kit[0], unstained=kit[1], detectors=DETECTORS, limits=limits)
    assert max(float(s.positive.max()) for s in found.selections) < 25_000


def test_a_stated_end_above_the_real_one_does_not_hide_the_pile_up(kit: Kit) -> None:
    # $PnR says 26 000, the detector stops at 25 000: 262 144 and 262 143 on a real cytometer.
    clipped = changed(kit, 0, values=np.minimum(kit[0][0].values, np.float32(25_000)))
    limits = np.full(6, 26_000.0)
    found = estimate_spillover(clipped, unstained=kit[1], detectors=DETECTORS, limits=limits)
    assert float(found.selections[0].positive.max()) < 25_000


def test_a_refinement_that_does_not_settle_is_refused_with_the_slope_it_keeps(kit: Kit) -> None:
    with pytest.raises(CompensationError, match=r"in 0 rounds: control for 'B2-A' keeps a slope of 0\.52"):
        estimate_spillover(kit[0], unstained=kit[1], detectors=DETECTORS, max_iterations=0)


def test_a_detector_without_a_fluorochrome_keeps_its_row_of_the_identity(kit: Kit) -> None:
    found = estimate_spillover(kit[0][:5], unstained=kit[1], detectors=DETECTORS, stained=DETECTORS[:5])
    assert found.matrix.values[5].tolist() == [0, 0, 0, 0, 0, 1]
    assert np.abs(found.matrix.values[:5] - TRUE[:5]).max() < 0.001


def test_no_slope_is_left_in_the_compensated_controls(kit: Kit) -> None:
    found = estimate(kit)
    slopes, _ = residual_slopes(found.selections, spillover=found.matrix.values, detectors=DETECTORS)
    assert np.array_equal(slopes, found.slope_error)
    assert np.abs(slopes).max() <= 1e-4


def test_no_spillover_is_wrong_by_more_than_two_of_its_standard_errors(kit: Kit) -> None:
    found = estimate(kit)
    ratio = np.abs(found.matrix.values - TRUE)[OFF_DIAGONAL] / found.standard_error[OFF_DIAGONAL]
    assert ratio.max() < 2
    assert found.standard_error.max() < 0.005


def test_the_same_controls_give_the_same_bytes_in_any_order(kit: Kit) -> None:
    forward = estimate(kit)
    backward = estimate((kit[0][::-1], kit[1]))
    assert forward.matrix.values.tobytes() == backward.matrix.values.tobytes()


# --- controls that are refused ---


def test_swapped_tubes_are_refused_and_both_are_named(kit: Kit) -> None:
    swapped = changed(kit, 1, values=kit[0][3].values, scatter=kit[0][3].scatter)
    swapped[3] = replace(kit[0][3], values=kit[0][1].values, scatter=kit[0][1].scatter)
    message = refusal(swapped, kit[1])
    assert "2 problems" in message
    assert "control 'tube-B2-A' for 'B2-A' is brightest in 'R1-A'" in message
    assert "control 'tube-R1-A' for 'R1-A' is brightest in 'B2-A'" in message
    assert message.count("look swapped") == 2


def test_swapped_neighbours_are_refused_although_they_spill_into_each_other(kit: Kit) -> None:
    # B2 spills 52 % into B3, B3 15 % into B2: each tube is bright in both detectors.
    swapped = changed(kit, 1, values=kit[0][2].values)
    swapped[2] = replace(kit[0][2], values=kit[0][1].values)
    assert refusal(swapped, kit[1]).count("look swapped") == 2


def test_swapped_tubes_are_seen_without_an_unstained_control_too(kit: Kit) -> None:
    swapped = changed(kit, 1, values=kit[0][3].values)
    swapped[3] = replace(kit[0][3], values=kit[0][1].values)
    assert refusal(swapped, None).count("look swapped") == 2


def test_a_tube_with_another_fluorochrome_is_refused_by_where_it_is_bright(kit: Kit) -> None:
    message = refusal(changed(kit, 0, values=kit[0][4].values, scatter=kit[0][4].scatter), kit[1])
    assert "1 problem;" in message
    assert "'tube-B1-A' for 'B1-A' is brightest in 'R2-A'" in message
    assert "Check which tube this is" in message


def test_a_control_with_100_positive_events_is_refused_with_the_number_needed(kit: Kit) -> None:
    # 100 of 20 000 x 0.85 cells that are not debris, minus those the scatter gate leaves out
    few = single_stain(np.random.default_rng(5), 2, positive=100 / 17_000)
    message = refusal(changed(kit, 2, values=few.values, scatter=few.scatter), kit[1])
    assert "'tube-B3-A' for 'B3-A' has" in message
    n_positive = int(message.split(" has ")[1].split(" positive")[0])
    assert 50 < n_positive <= 110
    assert "at least 300 are needed" in message


def test_a_control_that_was_never_stained_is_refused(kit: Kit) -> None:
    plain = single_stain(np.random.default_rng(6), None)
    message = refusal(changed(kit, 5, values=plain.values, scatter=plain.scatter), kit[1])
    assert "'tube-V1-A' for 'V1-A'" in message


def test_a_control_with_a_fifth_of_its_positives_saturated_is_refused(kit: Kit) -> None:
    clipped = np.minimum(kit[0][0].values, np.float32(8_000))  # the median of the stain
    message = refusal(changed(kit, 0, values=clipped), kit[1])
    assert "'tube-B1-A' for 'B1-A'" in message
    assert "reach the end of a detector" in message
    assert "Lower the voltage" in message


def test_all_positive_beads_without_an_unstained_control_are_refused() -> None:
    controls, _ = simulated(7, positive=1.0, brightness=40_000.0)
    beads = [replace(c, values=c.values[:, c.scatter[0] > 30_000], scatter=None) for c in controls]  # type: ignore[index]
    message = refusal(beads, None)
    assert "negative events in its scatter gate; at least 100 are needed" in message
    assert "Add an unstained control" in message


def test_a_fluorochrome_without_a_control_and_one_with_two_are_told_in_one_message(kit: Kit) -> None:
    controls = [*kit[0][:5], replace(kit[0][0], name="again")]
    message = refusal(controls, kit[1])
    assert "2 problems; no compensation was made" in message
    assert "the fluorochrome of 'V1-A' has no single-stain control" in message
    assert "'B1-A' has 2 controls (tube-B1-A, again)" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: replace(c, detector="X9-A"), "is for 'X9-A', which is not a detector of this panel"),
        (lambda c: replace(c, values=c.values[:4]), "holds values of shape (4, 20000)"),
        (lambda c: replace(c, scatter=c.scatter[:, :7]), "scatter of shape (2, 7)"),
        (
            lambda c: replace(c, values=c.values[:, :9], scatter=None),
            "holds 9 events; at least 100 are needed",
        ),
        (
            lambda c: replace(c, values=np.where(c.values > 30_000, np.nan, c.values)),
            "values that are not numbers",
        ),
    ],
)
def test_a_control_that_cannot_be_read_as_this_panel_is_refused(
    kit: Kit, change: Callable[[Control], Control], words: str
) -> None:
    assert words in refusal([change(kit[0][0]), *kit[0][1:]], kit[1])


def test_no_controls_at_all_are_told_per_fluorochrome() -> None:
    assert "6 problems" in refusal([], None)


# --- the matrix itself ---


def spillover(rows: list[list[float]], names: tuple[str, ...] = ("A", "B")) -> SpilloverMatrix:
    return SpilloverMatrix(names, np.array(rows, dtype=np.float64), origin="file")


def test_compensating_spilled_light_gives_back_the_light() -> None:
    light = np.array([[100.0, 0.0, 7.0, 1, 2, 3], [0.0, 50.0, 7.0, 4, 5, 6]])
    found = (light @ TRUE) @ compensation_matrix(SpilloverMatrix(DETECTORS, TRUE))
    assert found == pytest.approx(light, abs=1e-9)


@pytest.mark.parametrize(
    ("matrix", "codes"),
    [
        (spillover([[1, 0.2], [0.1, 1]]), []),
        (spillover([[1, np.nan], [0.1, 1]]), ["spillover.not_finite"]),
        (spillover([[1, np.inf], [0.1, 0]]), ["spillover.not_finite", "spillover.diagonal"]),
        (spillover([[0, 0.2], [0.1, -1]]), ["spillover.diagonal", "spillover.diagonal"]),
        (spillover([[100, 20], [10, 100]]), ["spillover.percent", "spillover.percent"]),
        (spillover([[1, 1], [1, 1]]), ["spillover.singular"]),
        (spillover([[1, 1 - 1e-7], [1, 1]]), ["spillover.singular"]),
        (spillover([[1, 0.2]]), ["spillover.shape"]),
        (spillover([[1, 0.2], [0.1, 1]], ("A", "A")), ["spillover.duplicate"]),
    ],
)
def test_a_matrix_that_cannot_be_inverted_with_sense_is_refused(
    matrix: SpilloverMatrix, codes: list[str]
) -> None:
    findings = check_spillover(matrix)
    assert [f.code for f in findings if f.outcome is Outcome.REJECT] == codes
    if codes:
        with pytest.raises(CompensationError, match=r"spillover matrix \(file\)"):
            compensation_matrix(matrix)


@pytest.mark.parametrize(
    ("matrix", "codes"),
    [
        (spillover([[1, 0], [0, 1]]), ["spillover.identity"]),
        (spillover([[1, 1.2], [0.1, 1]]), ["spillover.above_one"]),
        (spillover([[1, -0.05], [0.1, 1]]), ["spillover.negative"]),
        (spillover([[1, -0.005], [0.1, 1]]), []),  # noise of a small spillover
        (spillover([[0.98, 0.1], [0.1, 1]]), ["spillover.diagonal_not_one"]),
    ],
)
def test_an_unusual_matrix_is_used_with_a_warning(matrix: SpilloverMatrix, codes: list[str]) -> None:
    findings = check_spillover(matrix)
    assert [f.code for f in findings] == codes
    assert all(f.outcome is Outcome.WARN and f.remedy for f in findings)
    assert np.isfinite(compensation_matrix(matrix)).all()


# --- figures of quality ---


def test_a_wrong_entry_is_found_as_the_slope_it_leaves(kit: Kit) -> None:
    # B1 spills 0.20 into B2; a matrix that says 0.17 leaves 0.03 of B1 in B2, and as B2 is then believed to
    # hold that much of its own dye, which spills 0.52 into B3, takes 0.03 x 0.52 too much from B3.
    wrong = TRUE.copy()
    wrong[0, 1] = 0.17
    quality = compensation_quality(
        SpilloverMatrix(DETECTORS, wrong),
        estimate(kit).selections,
        reference=SpilloverMatrix(DETECTORS, TRUE),
    )
    flagged = [p for p in quality.pairs if "residual_slope" in p.flags]
    assert [(p.detector, p.into) for p in flagged] == [("B1-A", "B2-A"), ("B1-A", "B3-A")]
    assert flagged[0].residual_slope == pytest.approx(0.03, rel=0.1)
    assert flagged[1].residual_slope == pytest.approx(-0.03 * 0.52, rel=0.1)
    assert flagged[0].difference == pytest.approx(-0.03)
    assert flagged[0].reference == 0.20


def test_spreading_is_the_root_of_the_photons_that_spilled(kit: Kit) -> None:
    # A detector of 4 units per photo-electron that gets the share s of a dye of brightness F has a variance
    # of 4 s F, so the spreading coefficient is at least sqrt(4 s); subtracting what the primary detector
    # says of that share adds s² x 4 F: sqrt(4 s (1 + s)). Here s = 0.36, R1 into R2; the way back is small.
    quality = compensation_quality(SpilloverMatrix(DETECTORS, TRUE), estimate(kit).selections)
    pair = next(p for p in quality.pairs if (p.detector, p.into) == ("R1-A", "R2-A"))
    assert pair.spreading == pytest.approx(np.sqrt(4 * 0.36 * 1.36), rel=0.15)
    assert pair.n_positive == pytest.approx(0.4 * 17_000 * 0.6, rel=0.3)


def test_without_controls_only_the_matrix_itself_is_judged() -> None:
    quality = compensation_quality(spillover([[1, 1.5], [-0.2, 1]]))
    assert quality.condition_number == pytest.approx(np.linalg.cond([[1, 1.5], [-0.2, 1]]))
    assert [(p.detector, p.into, p.residual_slope, p.flags) for p in quality.pairs] == [
        ("A", "B", None, ("spillover_above_one",)),
        ("B", "A", None, ("negative_spillover",)),
    ]


def test_a_reference_in_another_order_is_compared_by_names() -> None:
    reference = spillover([[1, 0.3], [0.1, 1]], ("B", "A"))
    quality = compensation_quality(spillover([[1, 0.1], [0.2, 1]], ("A", "B")), reference=reference)
    assert [p.reference for p in quality.pairs] == [0.1, 0.3]
    assert quality.pairs[1].flags == ("differs_from_reference",)


def test_controls_of_another_panel_are_not_judged_by_this_matrix(kit: Kit) -> None:
    with pytest.raises(CompensationError, match="'tube-B1-A' for 'B1-A' has 6 detectors, the matrix 2"):
        compensation_quality(spillover([[1, 0], [0, 1]]), estimate(kit).selections)


def test_the_figures_of_a_good_estimate_raise_no_flag(kit: Kit) -> None:
    found = estimate(kit)
    quality = compensation_quality(found.matrix, found.selections)
    assert len(quality.pairs) == 30
    assert {f for p in quality.pairs for f in p.flags} <= {"widening"}
    assert 1 < quality.condition_number < 5
