"""A cut that reference tubes taught, moved to where the tube's own density has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.batches import towards_batch
from cytotrial.science.densities import (
    N_BINS,
    Density,
    counts_of,
    depth_at,
    heights_of,
    resampled,
    smoothed,
    usual_range,
)
from cytotrial.science.finders.learning import Known, centre_and_error, cut_of, rounded, usable
from cytotrial.science.finders.registry import (
    AT_BOUND,
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
from cytotrial.science.finders.valleys import find_density_minimum
from cytotrial.terms import FloatArray

_FLOOR = 1e-3
"""Added to the density before its logarithm: an empty stretch is a valley, not a bottomless one."""
_SMALLEST = 100
"""Events in the parent from which a tube can show a shape, or teach one."""


@registered("reference_valley", uses_batch=True)
def find_reference_valley(
    view: View,
    *,
    bounds: tuple[float, float] | None = None,
    keep: str = "above",
    max_shift: float = 0.12,
    reach: float = 0.06,
    pull: float = 0.03,
    bandwidth: float = 0.012,  # noqa: ARG001 - the learner's; the reference brings it back
    min_similarity: float = 0.85,
    adjust: float = 1.5,
    min_depth: float = 0.1,
) -> Found:
    """The reference tubes' cut, moved with the tube's density, and from there to the nearest valley.

    The tube's density is laid over the pooled density of the reference tubes: the shift at which their
    square roots agree best (the Bhattacharyya coefficient), within ± `max_shift`. Around the
    reference cut so moved, within ± `reach`, the cut is where log density + distance² / (2 · pull²) is
    least. A tube that does not look like the reference gets the unmoved reference cut, or the batch's.
    Without a reference it is `density_minimum` between the bounds.

    Parameters
    ----------
    view : View
        One dimension. `view.reference` as `learn_reference_valley` made it.
    bounds : (low, high), optional
        The cut must lie here; needed where there is no reference.
    max_shift, reach, pull, bandwidth : float
        In units of the gate's scale; the defaults are for a display scale from 0 to 1.
    min_similarity : float
        Bhattacharyya coefficient below which the shift is not believed.
    adjust, min_depth
        As for `density_minimum`, where there is no reference.

    Returns
    -------
    Found
        `confidence` is the depth of the valley at the cut (below 0.3 the two populations are hardly
        apart), `similarity` the coefficient.

    References
    ----------
    Bhattacharyya A. Bull Calcutta Math Soc 1943;35:99 (the coefficient). Hahne F et al. Cytometry A
    2010;77A:121 (landmarks of densities aligned between tubes).
    """
    if view.reference is None:
        if bounds is None:
            raise NoReferenceError(
                "there is neither a reference nor bounds between which to look for a valley."
            )
        return find_density_minimum(view, bounds=bounds, keep=keep, adjust=adjust, min_depth=min_depth)
    if view.n_events < _SMALLEST:
        raise GateError(f"{view.n_events} events in the parent; its shape needs {_SMALLEST}.")
    model = _model(Known(view.reference), max_shift, reach, pull)
    counts = counts_of(view.values[0], low=model.low, high=model.high)
    own, similarity = model.place(counts)
    error = float(np.std(model.places(resampled(counts))[0]))
    flags: tuple[str, ...] = ()
    if similarity < min_similarity:
        own, error, flags = model.cut, max_shift, (LOW_SIMILARITY,)
    elif abs(own - model.cut) >= max_shift + reach:
        flags = (AT_BOUND,)
    cut, at_bound = bounded(towards_batch((own,), (error,), view.batch, max_move=reach)[0], bounds)
    curve = model.density_of(counts)
    return Found(
        threshold(view.dimensions[0], cut, keep=keep),
        confidence=depth_at(curve, int(np.clip(np.searchsorted(curve.grid, cut), 0, N_BINS - 1))),
        flags=tuple(dict.fromkeys(flags + at_bound)),
        position=(own,),
        position_se=(error,),
        similarity=similarity,
    )


class _Model:
    """The pooled reference density, and how a tube's binned counts are laid over it."""

    def __init__(self, constants: Mapping[str, Any], *, max_shift: float, reach: float, pull: float) -> None:
        self.low, self.high = float(constants["low"]), float(constants["high"])
        self.cut, self.bandwidth = float(constants["cut"]), float(constants["bandwidth"])
        self.width = (self.high - self.low) / N_BINS
        self.grid = self.low + (np.arange(N_BINS) + 0.5) * self.width
        self.reach, self.pull = reach, pull
        steps = round(max_shift / self.width)
        root = np.pad(np.sqrt(np.asarray(constants["height"], dtype=np.float64)), steps)
        self.steps = np.arange(-steps, steps + 1)
        windows = np.lib.stride_tricks.sliding_window_view(root, N_BINS)
        self.shifted = np.ascontiguousarray(windows[::-1])

    def density_of(self, counts: FloatArray) -> Density:
        return smoothed(
            counts, low=self.low, high=self.high, bandwidth=self.bandwidth, n_events=int(counts.sum())
        )

    def place(self, counts: FloatArray) -> tuple[float, float]:
        """The cut of a tube, and how like the reference it is."""
        (cut,), (similarity,) = self.places(counts[None, :])
        return cut, similarity

    def places(self, counts: FloatArray) -> tuple[list[float], list[float]]:
        """The cut and the similarity of each row of binned counts."""
        heights = heights_of(counts, width=self.width, bandwidth=self.bandwidth)
        agreement = np.sqrt(heights) @ self.shifted.T * self.width
        best = np.argmax(agreement, axis=1)
        expected = self.cut + self.steps[best] * self.width
        cuts = [self._valley(row, float(near)) for row, near in zip(heights, expected, strict=True)]
        return cuts, [float(row[top]) for row, top in zip(agreement, best, strict=True)]

    def _valley(self, height: FloatArray, expected: float) -> float:
        """Where density and distance from the expected place are least together."""
        first, last = np.searchsorted(self.grid, [expected - self.reach, expected + self.reach])
        if first == last:
            return expected
        grid = self.grid[first:last]
        cost = np.log(height[first:last] + _FLOOR) + (grid - expected) ** 2 / (2 * self.pull**2)
        return float(grid[np.argmin(cost)])


@lru_cache(maxsize=32)
def _model(known: Known, max_shift: float, reach: float, pull: float) -> _Model:
    return _Model(known.constants, max_shift=max_shift, reach=reach, pull=pull)


@learns("reference_valley")
def learn_reference_valley(
    examples: Sequence[Example],
    *,
    keep: str = "above",
    max_shift: float = 0.12,
    bandwidth: float = 0.012,
    **_: object,
) -> dict[str, Any]:
    """Pooled density of the reference tubes, each moved so that its expert's cut lies on their centre.

    Returns
    -------
    dict
        `low`, `high` : the grid's ends; `height` : density in its 520 bins; `bandwidth` : its smoothing;
        `cut` : the centre of the experts' cuts. All on the gate's scale.
    """
    tubes = usable(examples, n_inside=20, n_events=_SMALLEST)
    cuts = [cut_of(tube.view.values[0], tube.inside, keep=keep) for tube in tubes]
    cut, _error = centre_and_error(cuts)
    moved = [tube.view.values[0] + (cut - own) for tube, own in zip(tubes, cuts, strict=True)]
    ranges = np.array([usual_range(values, margin=0.1) for values in moved])
    low, high = float(ranges[:, 0].min()) - max_shift, float(ranges[:, 1].max()) + max_shift
    each = [
        smoothed(
            counts_of(values, low=low, high=high), low=low, high=high, bandwidth=bandwidth, n_events=1
        ).height
        for values in moved
    ]
    return {"low": low, "high": high, "bandwidth": bandwidth, "cut": cut, "height": rounded(np.mean(each, 0))}
