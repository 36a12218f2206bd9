"""How exact the spillover of single stains is, beside three other ways to get it, and how long it takes.

    python benchmarks/compensation.py --trials 8 --shared ../shared

Four tables are printed:

- simulated controls of known spillover (`single_stains`): largest and mean error, the largest standard error
  that is told, and what is refused or told;
- side by side on the same controls: this method, AutoSpill's published behaviour (`autospill`), medians
  (middle of the positives less middle of the negatives, divided by the same in the dye's own detector) and
  the matrix that the cytometer wrote into the files;
- real controls, where `--shared` holds them: the spillovers that lie more than 0.03 from both reference
  matrices, with their standard error and what the brightest tenth of the control says;
- the time for 8 controls of 50,000 events.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autospill import autospill
from cytotrial.errors import CompensationError
from cytotrial.science.compensation import Control, Selection, SpilloverEstimate, estimate_spillover
from measuring import table
from real_controls import RealKit, calibur, mouse
from single_stains import BEADS, DETECTORS, GOOD, TRUE, Case, Kit, errors, simulate_kit, single_stain

Matrix = npt.NDArray[np.float64]

GOOD_CASES = {
    "cells, 8 % of them unstained": GOOD,
    "cells, 60 % unstained": Case(stained=0.4, log_sd=0.5),
    "cells, 96 % unstained": Case(stained=0.04, log_sd=0.5),
    "beads, 7 % unstained": BEADS,
    "noisy detectors (20 units a photo-electron)": Case(noisy=5.0),
    "stain grows with the glow": Case(grows_with_glow=0.3),
    "15 % of the positives another kind, dim": Case(dim_kind=0.15),
}
DOUBTFUL_CASES = {
    "stained cells glow twice as much": Case(glow=2.0, stained=0.4, log_sd=0.5),
    "brightness 2,000": Case(brightness=2_000.0),
    "brightness 2,000, glow twice as much": Case(brightness=2_000.0, glow=2.0, stained=0.4, log_sd=0.5),
    "brightness 800": Case(brightness=800.0),
}
POOR_TUBES = {
    "150 positive events": Case(stained=0.0083, log_sd=0.5),
    "brightness 300": Case(brightness=300.0),
    "never stained": Case(stained=0.0),
}


def estimate(kit: Kit) -> SpilloverEstimate:
    return estimate_spillover(kit.controls, unstained=kit.unstained, detectors=DETECTORS)


def with_a_poor_tube(case: Case, *, seed: int, row: int = 2) -> Kit:
    """Good controls, all but one."""
    rng = np.random.default_rng(seed + 1_000)
    return simulate_kit(seed=seed).with_control(row, single_stain(rng, row, case))


def what_is_said(kit: Kit) -> tuple[str, float]:
    """What becomes of a kit with a poor tube, and the largest error of the good controls in it."""
    try:
        found = estimate(kit)
    except CompensationError as error:
        return f"refused: {_reason(str(error))}", float("nan")
    told = [finding.seen for finding in found.findings if finding.code == "control.imprecise"]
    words = f"told: known to ±{', ±'.join(told)}" if told else "used"
    return words, float(errors(found.matrix.values, [0, 1, 3, 4, 5]).max())


def _reason(message: str) -> str:
    for words in ("positive events", "is brightest in", "negative events"):
        if words in message:
            return words
    return message.splitlines()[-1].strip()


def simulated_table(trials: int) -> Iterator[str]:
    yield f"Simulated controls, {trials} kits of 6 each: error of a spillover"
    rows = []
    for name, case in {**GOOD_CASES, **DOUBTFUL_CASES}.items():
        found = [estimate(simulate_kit(case, seed=seed)) for seed in range(trials)]
        wrong = np.concatenate([errors(one.matrix.values) for one in found])
        claimed = max(float(one.standard_error.max()) for one in found)
        told = np.mean([sum(f.code == "control.imprecise" for f in one.findings) for one in found])
        rows.append([name, f"{wrong.max():.4f}", f"{wrong.mean():.4f}", f"{claimed:.4f}", f"{told:.1f}"])
    yield table(["case", "largest", "mean", "largest standard error", "controls told of"], rows)


def poor_table(trials: int) -> Iterator[str]:
    yield "One poor tube among good ones: what is said of it, and the largest error of the others"
    rows = []
    for name, case in POOR_TUBES.items():
        said = [what_is_said(with_a_poor_tube(case, seed=seed)) for seed in range(trials)]
        words = sorted({one for one, _ in said})
        largest = max((error for _, error in said if np.isfinite(error)), default=float("nan"))
        rows.append([name, f"{largest:.4f}" if np.isfinite(largest) else "", words[0]])
    yield table(["the poor tube", "others", "what is said"], rows)


@dataclass(frozen=True, eq=False)
class Contest:
    """Spillover of the same controls by several methods, and the events to judge them on."""

    name: str
    matrices: Mapping[str, Matrix]
    selections: Sequence[Selection]
    detectors: Sequence[str]
    truth: Matrix | None = None


def simulated_contest(case: Case, name: str) -> Contest:
    kit = simulate_kit(case, seed=77)
    found = estimate(kit)
    matrices = {
        "this method": found.matrix.values,
        "AutoSpill": autospill(kit.controls, DETECTORS)[0],
        "medians": by_medians(found.selections, DETECTORS),
    }
    return Contest(name, matrices, found.selections, DETECTORS, TRUE)


def real_contest(kit: RealKit, name: str) -> Contest:
    found = kit.estimate
    matrices = {
        "this method": found.matrix.values,
        "AutoSpill": autospill(kit.controls, kit.detectors)[0],
        "medians": by_medians(found.selections, kit.detectors),
        **kit.others,
    }
    return Contest(name, matrices, found.selections, kit.detectors)


def by_medians(selections: Sequence[Selection], detectors: Sequence[str]) -> Matrix:
    """The simple slope: difference of medians in each detector over that in the dye's own."""
    spillover = np.eye(len(detectors))
    for selection in selections:
        rise = np.median(selection.positive, axis=1) - np.median(selection.negative, axis=1)
        spillover[list(detectors).index(selection.detector)] = (
            rise / rise[list(detectors).index(selection.detector)]
        )
    return spillover


def left_over(contest: Contest, matrix: Matrix, *, brightest: float) -> Matrix:
    """Rise of the middle of the positives over that of the negatives, per brightness, after compensation.

    Of all positives, or of the brightest share of them: medians, which none of the estimates uses so.
    """
    inverse = np.linalg.inv(matrix)
    left = []
    for selection in contest.selections:
        row = list(contest.detectors).index(selection.detector)
        brightness = selection.positive[row]
        chosen = selection.positive[:, brightness >= np.quantile(brightness, 1 - brightest)]
        rise = np.median(inverse.T @ chosen, axis=1) - np.median(inverse.T @ selection.negative, axis=1)
        left.append(np.abs(np.delete(rise / rise[row], row)))
    return np.concatenate(left)


def contest_table(contests: Sequence[Contest]) -> Iterator[str]:
    yield "Side by side: error against the truth (simulated), slope left in the controls by medians of all"
    yield "positives and of the brightest tenth: largest (mean)"
    rows = []
    for contest in contests:
        rows_of = [list(contest.detectors).index(s.detector) for s in contest.selections]
        for method, matrix in contest.matrices.items():
            wrong = errors(matrix, rows_of) if contest.truth is not None else None
            figures = [
                wrong,
                left_over(contest, matrix, brightest=1.0),
                left_over(contest, matrix, brightest=0.1),
            ]
            cells = ["" if one is None else f"{one.max():.4f} ({one.mean():.4f})" for one in figures]
            rows.append([f"{contest.name}: {method}", *cells])
    yield table(["controls: method", "error", "left, all", "left, brightest tenth"], rows)


def reference_table(kit: RealKit, name: str, references: Sequence[str]) -> Iterator[str]:
    """The spillovers that lie more than 0.03 from every reference."""
    found, rows = kit.estimate, []
    apart = np.min([np.abs(found.matrix.values - kit.others[one]) for one in references], axis=0)
    for i, j in np.argwhere((apart > 0.03) & kit.measured):
        bright = brightest_tenth(kit, kit.detectors[i])[j]
        given = [f"{kit.others[one][i, j]:.3f}" for one in references]
        error = found.standard_error[i, j]
        value = f"{found.matrix.values[i, j]:.3f} ± {error:.3f}"
        rows.append([f"{kit.detectors[i]} into {kit.detectors[j]}", value, *given, f"{bright:.3f}"])
    n_near = int(np.count_nonzero(kit.measured & (apart <= 0.03)))
    yield f"{name}: {n_near} of {int(kit.measured.sum())} spillovers within 0.03 of a reference; the others:"
    yield table(["", "this method", *references, "brightest tenth"], rows)


def brightest_tenth(kit: RealKit, detector: str) -> Matrix:
    """Medians of the tenth of a control's positives that are brightest, less those of the negatives."""
    (selection,) = (s for s in kit.estimate.selections if s.detector == detector)
    row = kit.detectors.index(detector)
    bright = selection.positive[:, selection.positive[row] >= np.quantile(selection.positive[row], 0.9)]
    rise = np.median(bright, axis=1) - np.median(selection.negative, axis=1)
    return np.asarray(rise / rise[row])


def eight_controls(
    *, n_events: int = 50_000, seed: int = 5
) -> tuple[list[Control], Control, tuple[str, ...]]:
    """Single stains and an unstained tube of an eight-colour panel."""
    rng = np.random.default_rng(seed)
    detectors = tuple(f"D{i}-A" for i in range(8))
    apart = np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    spillover = np.where(apart == 0, 1.0, 0.4 * np.exp(-1.2 * apart))
    tubes = []
    for row in [*range(8), None]:
        size = rng.lognormal(0, 0.3, n_events)
        light = size * rng.lognormal(0, 0.3, n_events) * rng.uniform(20, 90, 8)[:, None]
        if row is not None:
            dye = np.where(rng.random(n_events) < 0.5, 8_000 * rng.lognormal(0, 0.5, n_events), 0.0)
            light = light + spillover[row][:, None] * dye
        values = (rng.poisson(light / 4) * 4 + rng.normal(0, 15, light.shape)).astype(np.float32)
        scatter = np.stack([60_000 * size, 25_000 * size * rng.lognormal(0, 0.25, n_events)])
        name = "" if row is None else detectors[row]
        tubes.append(Control(name or "unstained", name, values, scatter.astype(np.float32)))
    return tubes[:-1], tubes[-1], detectors


def speed_line(rounds: int) -> str:
    controls, unstained, detectors = eight_controls()
    spent = []
    for _ in range(rounds):
        begin = time.process_time()
        estimate_spillover(controls, unstained=unstained, detectors=detectors)
        spent.append(time.process_time() - begin)
    return f"8 controls of 50,000 events: {np.median(spent):.2f} s of CPU, median of {rounds}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=8, help="simulated kits of each case")
    parser.add_argument("--shared", type=Path, help="folder that holds data/ with the real controls")
    given = parser.parse_args()
    contests = [
        simulated_contest(GOOD, "good cells"),
        simulated_contest(BEADS, "beads"),
        simulated_contest(DOUBTFUL_CASES["stained cells glow twice as much"], "glow twice"),
        simulated_contest(DOUBTFUL_CASES["brightness 800"], "brightness 800"),
    ]
    lines = [*simulated_table(given.trials), "", *poor_table(given.trials), ""]
    print("\n".join(lines), flush=True)
    if given.shared is not None:
        cells, blood = mouse(given.shared), calibur(given.shared)
        contests += [real_contest(cells, "mouse"), real_contest(blood, "Calibur")]
    print("\n".join(contest_table(contests)), flush=True)
    if given.shared is not None:
        print()
        print("\n".join(reference_table(cells, "mouse", ["universal negative", "internal negative"])))
        print("\n".join(reference_table(blood, "Calibur", ["FlowJo", "flowCore medians"])))
    print()
    print(speed_line(5))


if __name__ == "__main__":
    main()
