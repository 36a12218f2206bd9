"""A population's ellipse in a mixture, held by its prior."""

from __future__ import annotations

import numpy as np
import pytest

from cytotrial.errors import GateError
from cytotrial.science.finders import Example, View, find_gate, learn_gate
from cytotrial.science.finders.mixtures import squared_distance
from cytotrial.terms import Dimension, EllipsoidGate

PLANE = (Dimension("CD25"), Dimension("FOXP3"))
PRIOR = {"means": [[0.3, 0.3], [0.7, 0.6]], "spreads": [[0.05, 0.05], [0.08, 0.08]]}


def two_clouds(n: tuple[int, int] = (4000, 2000), *, shift: float = 0.0, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    first = rng.multivariate_normal([0.32 + shift, 0.28], [[0.0016, 0.0008], [0.0008, 0.0025]], n[0])
    second = rng.multivariate_normal([0.72 + shift, 0.62], [[0.0036, 0.0], [0.0, 0.0036]], n[1])
    return np.vstack([first, second])


def view(points: np.ndarray, reference: object = None) -> View:
    return View(PLANE, (points[:, 0], points[:, 1]), reference=reference)  # type: ignore[arg-type]


def test_the_ellipse_has_the_populations_own_middle_and_spread():
    found = find_gate("mixture_ellipse", view(two_clouds()), PRIOR | {"prior_percent": 0.5})
    assert isinstance(found.gate, EllipsoidGate)
    assert found.gate.mean == pytest.approx((0.32, 0.28), abs=0.005)
    assert np.asarray(found.gate.covariance) == pytest.approx(
        np.array([[0.0016, 0.0008], [0.0008, 0.0025]]), abs=0.0003
    )
    # −2 ln(1 − 0.95) = 5.99, the 95th percentile of chi-square with two degrees of freedom.
    assert found.gate.distance_square == pytest.approx(5.99, abs=0.01)


def test_the_prior_names_the_component_and_holds_it_where_events_are_few():
    crowd = two_clouds((0, 5000))
    with pytest.raises(GateError, match="vanished"):
        find_gate("mixture_ellipse", view(crowd), PRIOR | {"prior_percent": 0.01})
    scarce = find_gate("mixture_ellipse", view(two_clouds((60, 5000))), PRIOR | {"prior_percent": 20.0})
    assert scarce.position == pytest.approx((0.3, 0.3), abs=0.02)


def test_priors_and_size_are_learnt_from_what_an_expert_kept():
    examples = []
    for seed, shift in enumerate((0.0, 0.02, -0.02)):
        points = two_clouds(shift=shift, seed=seed)
        distance = squared_distance(
            points, np.array([0.32 + shift, 0.28]), np.array([[0.0016, 0.0008], [0.0008, 0.0025]])
        )
        examples.append(Example(view(points), distance <= 4.6, "B1"))
    learnt = learn_gate("mixture_ellipse", examples, {"components": 2})
    points = two_clouds(shift=0.04, seed=9)
    gate = find_gate("mixture_ellipse", view(points, learnt), {}).gate
    assert isinstance(gate, EllipsoidGate)
    kept = squared_distance(points, np.array(gate.mean), np.array(gate.covariance)) <= gate.distance_square
    true = (
        squared_distance(points, np.array([0.36, 0.28]), np.array([[0.0016, 0.0008], [0.0008, 0.0025]]))
        <= 4.6
    )
    assert 2 * np.sum(kept & true) / (kept.sum() + true.sum()) > 0.96
