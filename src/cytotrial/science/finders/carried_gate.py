"""An expert's gate carried to a tube along with the populations it was drawn among."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.batches import towards_batch
from cytotrial.science.carried import (
    Carried,
    Populations,
    bin_events,
    carry,
    learn_populations,
    reordered,
    resemblance,
)
from cytotrial.science.densities import usual_range
from cytotrial.science.finders.learning import Known, centre_and_error, cut_of, rounded, usable
from cytotrial.science.finders.registry import (
    LOW_SIMILARITY,
    Example,
    Found,
    NoReferenceError,
    View,
    bounded,
    learns,
    registered,
    threshold,
)
from cytotrial.science.planes import Plane, outline, share_inside
from cytotrial.terms import FloatArray, Gate, PolygonGate

_SMALLEST = 50
"""Events in the parent; with so few the gate is all but the reference's, by its priors."""
_FOLLOW_SD = 0.3
_PARTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@registered("carried_gate", uses_batch=True)
def find_carried_gate(
    view: View,
    *,
    axes: int = 1,
    keep: str = "above",
    bounds: tuple[float, float] | None = None,
    populations: int = 6,  # noqa: ARG001 - the learner's; the reference brings back as many
    min_similarity: float = 0.9,
    max_move: float = 0.06,
) -> Found:
    """The experts' cut or polygon, carried along with the populations of its parent.

    Where a marker is a continuum its own density says nothing about where to cut. But the parent holds
    several populations, and what moves one of them (gain, staining) moves all. On reference tubes the
    parent's populations are learnt as a mixture of normals on all markers of the view together, and the
    place of the experts' gate among them. On a tube the mixture is fitted anew, with a shift and a
    stretch for each marker and shares of its own, and the gate is moved and stretched with it. All
    events take part; more or fewer of the cells that are looked for change their share, not the gate.
    Where populations move for other reasons than gain and staining (as between tissues), the experts
    did not follow; how far they did is learnt as well.

    Parameters
    ----------
    view : View
        The marker or the two markers of the gate, then others that tell its populations apart.
        `view.reference` as `learn_carried_gate` made it.
    axes : 1 or 2
        A cut on the first marker, or a polygon on the first two.
    keep, bounds
        Of a cut, as for `density_minimum`.
    populations : int
        How many the reference tubes teach.
    min_similarity : float
        Least Bhattacharyya coefficient between the tube's density on the gate's markers and that of the
        fitted populations; below it the gate is flagged.
    max_move : float
        The most by which the batch may move the gate, on the gate's scale.

    Returns
    -------
    Found
        `position` is the cut, or where the middle of the polygon has come to lie.

    Raises
    ------
    NoReferenceError
        Without a reference.
    GateError
        With fewer than 50 events in the parent.

    References
    ----------
    See `cytotrial.science.carried`. Learning an expert's place among populations rather than on a scale
    follows Finak G et al. PLoS Comput Biol 2014;10:e1003806, who set priors for gates over a study.
    """
    if view.reference is None:
        raise NoReferenceError("there is no reference: the gate has no place among populations yet.")
    if view.n_events < _SMALLEST:
        raise GateError(f"{view.n_events} events in the parent; its populations need {_SMALLEST}.")
    model = _populations(Known(view.reference))
    fit = _fitted(_Question.of(model, view.values))
    fit, whole = fit.followed(view.reference["follow"]), fit
    similarity = min(resemblance(model, whole, axis, view.values[axis]) for axis in range(axes))
    flags = (LOW_SIMILARITY,) if similarity < min_similarity else ()
    place = [float(value) for value in view.reference["place"]]
    own = tuple(fit.at(axis, value) for axis, value in enumerate(place))
    error = tuple(fit.error_at(axis, value) for axis, value in enumerate(place))
    final = towards_batch(own, error, view.batch, max_move=max_move)
    gate, at_bound = _gate(view, fit, np.subtract(final, own), keep=keep, bounds=bounds)
    return Found(gate, flags=flags + at_bound, position=own, position_se=error, similarity=similarity)


def _gate(
    view: View, fit: Carried, moved: FloatArray, *, keep: str, bounds: tuple[float, float] | None
) -> tuple[Gate, tuple[str, ...]]:
    assert view.reference is not None
    if "polygon" not in view.reference:
        cut, flags = bounded(fit.at(0, float(view.reference["place"][0])) + float(moved[0]), bounds)
        return threshold(view.dimensions[0], cut, keep=keep), flags
    corners = tuple(
        (fit.at(0, x) + float(moved[0]), fit.at(1, y) + float(moved[1])) for x, y in view.reference["polygon"]
    )
    return PolygonGate((view.dimensions[0], view.dimensions[1]), corners), ()


@lru_cache(maxsize=16)
def _populations(known: Known) -> Populations:
    return Populations(
        **{
            name: np.asarray(known.constants[name], dtype=np.float64)
            for name in ("share", "mean", "covariance", "shift_sd", "stretch_sd")
        }
    )


@dataclass(frozen=True)
class _Question:
    """A tube's events and the populations to find in them, known by their content alone.

    Gates on the same parent ask for the same fit with their markers in different order; put in one
    order they are one question.
    """

    digest: bytes
    order: tuple[int, ...] = field(compare=False)
    model: Populations = field(compare=False)
    values: tuple[FloatArray, ...] = field(compare=False)

    @classmethod
    def of(cls, model: Populations, values: Sequence[FloatArray]) -> _Question:
        order = tuple(np.lexsort(model.mean[::-1]).tolist())
        model, values = reordered(model, order), tuple(values[axis] for axis in order)
        content = hashlib.blake2b(digest_size=16)
        for array in (*values, model.share, model.mean, model.covariance, model.shift_sd, model.stretch_sd):
            content.update(np.ascontiguousarray(array).data)
        return cls(content.digest(), order, model, values)


def _fitted(question: _Question) -> Carried:
    return _answer(question).reordered(np.argsort(question.order).tolist())


@lru_cache(maxsize=4)
def _answer(question: _Question) -> Carried:
    return carry(question.model, bin_events(question.values))


@learns("carried_gate")
def learn_carried_gate(
    examples: Sequence[Example],
    *,
    axes: int = 1,
    keep: str = "above",
    populations: int = 6,
    **_: object,
) -> dict[str, Any]:
    """The populations of the reference tubes' parents, and where among them the experts gated.

    Returns
    -------
    dict
        `share`, `mean`, `covariance` : the populations; `shift_sd`, `stretch_sd` : how far tubes lie
        apart; `place` : the cut, or the middle of the polygon; `polygon` : its corners; `follow` : the
        part of the populations' move that the experts followed. On the gate's scales.
    """
    if axes not in {1, 2}:
        raise GateError(f"axes: {axes} is neither 1 (a cut) nor 2 (a polygon).")
    tubes = usable(examples, n_inside=5, n_events=_SMALLEST)
    model, fits = _learnt(tubes, populations)
    constants: dict[str, Any] = {
        "share": rounded(model.share),
        "mean": [rounded(row) for row in model.mean],
        "covariance": [[rounded(row) for row in rows] for rows in model.covariance],
        "shift_sd": rounded(model.shift_sd),
        "stretch_sd": rounded(model.stretch_sd),
    }
    if axes == 1:
        cuts = [cut_of(tube.view.values[0], tube.inside, keep=keep) for tube in tubes]
        return constants | _cut_among(fits, np.array(cuts))
    return constants | _polygon_among(tubes, fits)


def _cut_among(fits: Sequence[Carried], cuts: FloatArray) -> dict[str, Any]:
    """Where the experts' cuts lie among the populations, and how far they followed these.

    The cuts are regressed on the moves of the populations at their place: a slope of 1 says that the
    expert's hand went along with the populations, 0 that it stayed. The slope has a prior of 1 ± 0.3.
    """
    place, follow = float(np.median([fit.back(0, cut) for fit, cut in zip(fits, cuts, strict=True)])), 1.0
    for _round in range(3):
        moves = np.array([fit.at(0, place) - place for fit in fits])
        rest = cuts - place - follow * moves
        away, left = moves - moves.mean(), (cuts - moves) - (cuts - moves).mean()
        hand = 1.4826 * float(np.median(np.abs(rest - np.median(rest))))
        noise = (hand / _FOLLOW_SD) ** 2
        follow = float(np.clip(1 + away @ left / max(away @ away + noise, 1e-300), 0.0, 1.0))
        place, error = centre_and_error(
            [fit.followed([follow]).back(0, c) for fit, c in zip(fits, cuts, strict=True)]
        )
    return {"place": [place], "place_se": [error], "follow": [follow]}


def _polygon_among(tubes: Sequence[Example], fits: Sequence[Carried]) -> dict[str, Any]:
    """The outline of what the experts kept, and how far on each axis they followed the populations.

    Of several parts of the populations' move, the one in whose frame the experts contradict one another
    least: the mean squared error with which the share kept about a place tells what was kept there.
    """
    tried = {
        follow: _frame(tubes, [fit.followed(follow) for fit in fits]) for follow in product(_PARTS, _PARTS)
    }
    follow = min(tried, key=lambda part: (round(tried[part].contradiction, 4), -sum(part)))
    corners = outline(tried[follow].plane, tried[follow].counts, tried[follow].inside)
    if len(corners) < 3:
        raise GateError("the events that the expert kept make no region on these two axes.")
    return {
        "polygon": [rounded(corner) for corner in corners],
        "place": rounded(tried[follow].middle),
        "follow": list(follow),
    }


@dataclass(frozen=True, eq=False)
class _Frame:
    """The events of all tubes on the plane of the gate, in the reference's places.

    contradiction : of the experts, relative to the events they kept
    middle : of what they kept, shape (2,)
    """

    plane: Plane
    counts: FloatArray
    inside: FloatArray
    middle: FloatArray

    @property
    def contradiction(self) -> float:
        share = share_inside(self.counts, self.inside)
        wrong = self.inside * (1 - share) ** 2 + (self.counts - self.inside) * share**2
        return float(wrong.sum() / self.inside.sum())


def _frame(tubes: Sequence[Example], fits: Sequence[Carried]) -> _Frame:
    points = [
        tuple(
            fit.anchor[a] + (tube.view.values[a] - fit.at(a, fit.anchor[a])) / fit.stretch[a] for a in (0, 1)
        )
        for tube, fit in zip(tubes, fits, strict=True)
    ]
    ends = np.array([[usual_range(axis, margin=0.05) for axis in pair] for pair in points])
    low, high = ends[:, :, 0].min(axis=0), ends[:, :, 1].max(axis=0)
    plane = Plane((float(low[0]), float(low[1])), (float(high[0]), float(high[1])))
    counts = np.sum([plane.counts_of(x, y) for x, y in points], axis=0)
    kept = [(x[tube.inside], y[tube.inside]) for (x, y), tube in zip(points, tubes, strict=True)]
    inside = np.sum([plane.counts_of(x, y) for x, y in kept], axis=0)
    middle = np.median([[x.mean(), y.mean()] for x, y in kept], axis=0)
    return _Frame(plane, counts, inside, middle)


def _learnt(tubes: Sequence[Example], k: int) -> tuple[Populations, list[Carried]]:
    """Populations and fits in the order of the view; learnt in the order of the channels' names."""
    names = [dimension.channel for dimension in tubes[0].view.dimensions]
    order = sorted(range(len(names)), key=names.__getitem__)
    cells = tuple(bin_events([tube.view.values[axis] for axis in order]) for tube in tubes)
    content = hashlib.blake2b(str(k).encode(), digest_size=16)
    for each in cells:
        content.update(each.place.data)
        content.update(each.events.data)
    model, fits = _lesson(_Lesson(content.digest(), k, cells))
    back = np.argsort(order).tolist()
    return reordered(model, back), [fit.reordered(back) for fit in fits]


@dataclass(frozen=True)
class _Lesson:
    digest: bytes
    k: int = field(compare=False)
    cells: tuple[Any, ...] = field(compare=False)


@lru_cache(maxsize=4)
def _lesson(lesson: _Lesson) -> tuple[Populations, list[Carried]]:
    return learn_populations(lesson.cells, k=lesson.k)
