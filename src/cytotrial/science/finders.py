"""Gate finders: functions that place one gate from data.

Every finder has one signature, `finder(view, **arguments) -> Found`, and is registered under
the name that a gating template uses. A view holds the events of the parent population on the
gate's own scales, and the same for the control tubes, if the template names a control. All are
deterministic. What a finder cannot do with the events it is given it says with a `GateError`;
the template's `fallback` then answers, flagged.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cytotrial.errors import GateError, TemplateError
from cytotrial.science.densities import deepest_valley, density
from cytotrial.terms import Dimension, FloatArray, Gate, GatingStrategy, PolygonGate, RectangleGate

AT_BOUND = "GATE_AT_BOUND"
CONTROL_TOO_SMALL = "CONTROL_TOO_SMALL"


@dataclass(frozen=True, eq=False)
class View:
    """What a finder sees of a tube.

    dimensions : the axes of the gate, with $PnN names
    values : one ndarray of shape (n_events,) for each dimension: the parent's events on that scale
    control : the same for the pooled control tubes, or None
    """

    dimensions: tuple[Dimension, ...]
    values: tuple[FloatArray, ...]
    control: tuple[FloatArray, ...] | None = None

    @property
    def n_events(self) -> int:
        return int(self.values[0].size)


@dataclass(frozen=True)
class Found:
    """A placed gate; `confidence` from 0 to 1 where the finder has a measure of it."""

    gate: Gate
    confidence: float | None = None
    flags: tuple[str, ...] = ()


Finder = Callable[..., Found]
_REGISTRY: dict[str, Finder] = {}


def registered(name: str) -> Callable[[Finder], Finder]:
    """Make a finder known to gating templates under `name`."""

    def enter(function: Finder) -> Finder:
        _REGISTRY[name] = function
        return function

    return enter


def finder_names() -> tuple[str, ...]:
    return tuple(sorted(_REGISTRY))


def find_gate(name: str, view: View, arguments: Mapping[str, Any]) -> Found:
    """Run a registered finder. Raises GateError if the events cannot carry the gate."""
    return _REGISTRY[name](view, **arguments)


def check_finders(strategy: GatingStrategy) -> None:
    """Refuse a strategy whose finders or arguments do not exist, all problems at once.

    Raises
    ------
    TemplateError
        With the population, what was found, and the nearest known name.
    """
    problems = [
        f"population {population.name}: {problem}"
        for population in strategy.populations
        if population.find is not None
        for problem in _problems_of(population.find.finder, population.find.arguments)
    ]
    if problems:
        raise TemplateError(
            "\n  ".join([f"{strategy.source}, {len(problems)} problem(s) with gate finders", *problems])
        )


def _problems_of(name: str, arguments: Mapping[str, Any]) -> list[str]:
    if name not in _REGISTRY:
        return [f"gate finder '{name}' does not exist{_nearest(name, finder_names())}"]
    parameters = list(inspect.signature(_REGISTRY[name]).parameters.values())[1:]
    known = [parameter.name for parameter in parameters]
    problems = [
        f"{name} has no argument '{argument}'{_nearest(argument, known)}"
        for argument in arguments
        if argument not in known
    ]
    needed = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    return problems + [f"{name} needs the argument '{key}'" for key in needed if key not in arguments]


def _nearest(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known)}"


def threshold(dimension: Dimension, cut: float, *, keep: str = "above") -> RectangleGate:
    """The gate of all events at or above a cut, or below it, on one dimension."""
    if keep not in {"above", "below"}:
        raise TemplateError(f"keep: '{keep}' is neither above nor below")
    return RectangleGate(
        (dimension,), (cut if keep == "above" else None,), (None if keep == "above" else cut,)
    )


def _bounded(cut: float, bounds: tuple[float, float] | None) -> tuple[float, tuple[str, ...]]:
    if bounds is None:
        return cut, ()
    low, high = bounds
    inside = min(max(cut, low), high)
    return inside, (() if inside == cut else (AT_BOUND,))


@registered("singlets")
def find_singlets(view: View, *, k_low: float = 4.0, k_high: float = 6.0) -> Found:
    """Singlets: a wedge about the robust line of height on area.

    The line height = b · area is fitted by Huber's M-estimator to relative residuals, since the
    scatter of a pulse's height grows with its area; its robust SD is taken from the side **above**
    the line, where doublets (areas add, heights do not) never lie.

    Parameters
    ----------
    view : View
        Two dimensions, area and height of one scatter channel, linear scale.
    k_low, k_high : float
        Width of the band below and above the line in robust SD. k = 4 keeps more than 99.9 % of
        singlets where their ratio is normal; k_high is wide, for nothing but noise lies there.

    Raises
    ------
    GateError
        With fewer than 100 events of positive area.

    References
    ----------
    Huber, Ann Math Stat 1964;35:73 (M-estimator, tuning constant 1.345).
    """
    area, height = view.values
    ratio = (height[area > 0] / area[area > 0]).astype(np.float64)
    if ratio.size < 100:
        raise GateError(f"{ratio.size} events of positive area; the singlet line needs 100.")
    slope = _huber_location(ratio[:: max(1, ratio.size // 20_000)])
    above = ratio[ratio >= slope] / slope - 1
    spread = 1.4826 * float(np.median(above))
    low, high = slope * max(0.0, 1 - k_low * spread), slope * (1 + k_high * spread)
    first, last = 1.0, float(area.max()) * 1.01 + 1.0
    wedge = ((first, low * first), (last, low * last), (last, high * last), (first, high * first))
    x, y = view.dimensions
    return Found(PolygonGate((x, y), wedge))


def _huber_location(values: FloatArray) -> float:
    """Huber's M-estimate of location, by iteratively reweighted means."""
    centre = float(np.median(values))
    scale = 1.4826 * float(np.median(np.abs(values - centre))) or 1e-9
    for _ in range(30):
        weights = np.minimum(1.0, 1.345 * scale / np.maximum(np.abs(values - centre), 1e-12))
        moved = float(np.average(values, weights=weights))
        if abs(moved - centre) < 1e-6 * scale:
            break
        centre = moved
    return centre


@registered("density_minimum")
def find_density_minimum(
    view: View,
    *,
    bounds: tuple[float, float],
    keep: str = "above",
    adjust: float = 1.5,
    min_depth: float = 0.1,
) -> Found:
    """The valley of a marker's density between bounds.

    Parameters
    ----------
    view : View
        One dimension.
    bounds : (low, high)
        The valley must lie here, on the gate's scale.
    keep : `above` or `below`
    adjust : float
        Smoothing, as a factor on the rule-of-thumb bandwidth.
    min_depth : float
        A valley shallower than this (1 − valley / lower peak) is none.

    Returns
    -------
    Found
        `confidence` is the depth of the valley.

    Raises
    ------
    GateError
        If there is no valley between the bounds: a fallback must answer.

    References
    ----------
    Finak et al., PLoS Comput Biol 2014;10:e1003806 (a density's minimum as a gate, with a range).
    """
    valley = deepest_valley(density(view.values[0], adjust=adjust), low=bounds[0], high=bounds[1])
    if valley is None or valley[1] < min_depth:
        raise GateError(f"no valley deeper than {min_depth:g} between {bounds[0]:g} and {bounds[1]:g}.")
    cut, depth = valley
    return Found(threshold(view.dimensions[0], cut, keep=keep), confidence=depth)


@registered("control_quantile")
def find_control_quantile(
    view: View,
    *,
    quantile: float = 0.995,
    offset: float = 0.0,
    k: float = 3.0,
    keep: str = "above",
    bounds: tuple[float, float] | None = None,
) -> Found:
    """A quantile of a control tube (FMO, unstimulated, isotype) in the same parent population.

    Parameters
    ----------
    view : View
        One dimension; `view.control` holds the control's events.
    quantile : float
        Share of the control's parent below the cut.
    offset : float
        Added on the gate's scale, where expert gates are known to lie beyond the quantile.
    k : float
        With too few control events for the quantile (fewer than 5 beyond it), the cut is
        median + k robust SD of the control, flagged.
    keep, bounds
        As for `density_minimum`; a cut outside the bounds is moved to them and flagged.

    Raises
    ------
    GateError
        Without control events.

    Notes
    -----
    An FMO shows the spread of the other dyes, not the antibody's own background: for markers
    that rise continuously, such as CD25 and FOXP3, this cut calls too many events positive.
    """
    if view.control is None or view.control[0].size < 20:
        raise GateError("no control tube with at least 20 events in the parent population.")
    values = view.control[0]
    flags: tuple[str, ...] = ()
    if values.size * (1 - quantile) >= 5:
        cut = float(np.quantile(values, quantile))
    else:
        centre = float(np.median(values))
        cut = centre + k * 1.4826 * float(np.median(np.abs(values - centre)))
        flags = (CONTROL_TOO_SMALL,)
    cut, at_bound = _bounded(cut + offset, bounds)
    return Found(threshold(view.dimensions[0], cut, keep=keep), flags=flags + at_bound)


@registered("negative_offset")
def find_negative_offset(
    view: View,
    *,
    offset: float,
    keep: str = "above",
    bounds: tuple[float, float] | None = None,
    adjust: float = 1.0,
) -> Found:
    """The tube's own negative peak plus an offset that was learnt from reference tubes.

    Parameters
    ----------
    view : View
        One dimension, in a parent most of whose events are negative.
    offset : float
        Distance of the cut from the mode of the parent, on the gate's scale.
    """
    if view.n_events < 50:
        raise GateError(f"{view.n_events} events in the parent; the negative peak needs 50.")
    cut, flags = _bounded(density(view.values[0], adjust=adjust).mode + offset, bounds)
    return Found(threshold(view.dimensions[0], cut, keep=keep), flags=flags)


@registered("landmark_fraction")
def find_landmark_fraction(
    view: View,
    *,
    fraction: float,
    landmarks: tuple[str, ...],
    keep: str = "above",
    bounds: tuple[float, float] | None = None,
    top_percent: float = 1.5,
    min_landmark_events: int = 20,
) -> Found:
    """A cut at a fixed fraction of the way between two landmarks of the same tube.

    For CD25, FOXP3 and CD127 there is no valley to find. But among CD4+ events those that look
    conventional by the **other** markers are certainly negative, and the few that look most
    regulatory by the other markers are certainly positive: the medians of both groups are landmarks
    that move with gain and staining, and the cut keeps its place between them.

    Parameters
    ----------
    view : View
        The marker that is gated, then the other markers; the parent is CD4+.
    fraction : float
        (cut − negative) / (positive − negative), learnt from expert gates.
    landmarks : tuple of `high` or `low`
        For each other marker, whether the cells that are looked for express much or little of it.
        Negatives are the events on the opposite side of the median of every one; positives those
        with the highest sum of ranks.
    keep : `above` or `below`
        Whether the cells that are looked for are above the cut (CD25, FOXP3) or below it (CD127).
    top_percent : float
        Share of the parent that makes the positive landmark: about half of the rarest share in
        which the cells occur, so that it holds few others (Treg are 2 to 8 % of CD4+).
    min_landmark_events : int
        Least number of events for the positive landmark (the median of 20 errs by 0.28 SD); it may
        take up to 5 % of a small parent to find them.

    Raises
    ------
    GateError
        With too few events, or landmarks in the wrong order.
    """
    marker, others = view.values[0], view.values[1:]
    if len(landmarks) != len(others) or not set(landmarks) <= {"high", "low"}:
        raise GateError(f"landmarks must say high or low for each of {len(others)} other markers.")
    n_top = max(round(view.n_events * top_percent / 100), min_landmark_events)
    if n_top > 0.05 * view.n_events:
        raise GateError(
            f"{view.n_events} events in the parent; the positive landmark needs {20 * min_landmark_events}."
        )
    signed = [values if side == "high" else -values for values, side in zip(others, landmarks, strict=True)]
    unlike = np.logical_and.reduce([values < np.median(values) for values in signed])
    score = np.sum([_rank(values) for values in signed], axis=0)
    negative = float(np.median(marker[unlike])) if unlike.any() else float(np.median(marker))
    positive = float(np.median(marker[np.argsort(score, kind="stable")[-n_top:]]))
    if (positive <= negative) if keep == "above" else (positive >= negative):
        raise GateError(
            "the positive landmark is on the wrong side of the negative one: is the marker in this tube?"
        )
    cut, flags = _bounded(negative + fraction * (positive - negative), bounds)
    return Found(threshold(view.dimensions[0], cut, keep=keep), flags=flags)


def _rank(values: FloatArray) -> FloatArray:
    ranks = np.empty(values.size)
    ranks[np.argsort(values, kind="stable")] = np.arange(values.size)
    return ranks
