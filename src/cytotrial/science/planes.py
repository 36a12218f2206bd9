"""Two-dimensional densities on a fixed grid: laid over one another, and outlined."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cytotrial.terms import BoolArray, FloatArray

N_CELLS = 128
_PAD = 32
Corners = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plane:
    """A grid of 128 × 128 cells over two axes; `low` and `high` are its ends on x and y."""

    low: tuple[float, float]
    high: tuple[float, float]

    @property
    def cell(self) -> tuple[float, float]:
        x, y = ((b - a) / N_CELLS for a, b in zip(self.low, self.high, strict=True))
        return x, y

    def counts_of(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Events in each cell, shape (128, 128), x first; those outside are not counted."""
        return np.bincount(self.places(x, y), minlength=N_CELLS**2 + 1)[:-1].reshape(N_CELLS, N_CELLS) * 1.0

    def places(self, x: FloatArray, y: FloatArray) -> npt.NDArray[np.int32]:
        """The cell of each event, row by row, shape (n_events,); 128² for an event outside."""
        across, up = (
            (values - low) * np.float32(1 / size)
            for values, low, size in zip((x, y), self.low, self.cell, strict=True)
        )
        with np.errstate(invalid="ignore"):
            inside = (across >= 0) & (across < N_CELLS) & (up >= 0) & (up < N_CELLS)
            place = across.astype(np.int32) * N_CELLS + up.astype(np.int32)
        return np.where(inside, place, N_CELLS**2).astype(np.int32)

    def centres(self) -> tuple[FloatArray, FloatArray]:
        """The middle of every cell, two arrays of shape (128, 128)."""
        x, y = (
            low + (np.arange(N_CELLS) + 0.5) * size for low, size in zip(self.low, self.cell, strict=True)
        )
        across, up = np.meshgrid(x, y, indexing="ij")
        return across, up


def smooth_plane(counts: FloatArray, *, cells: float) -> FloatArray:
    """Counts of a plane smoothed by a Gaussian of SD `cells`; what leaves the plane is lost."""
    spectrum = np.fft.rfft2(np.pad(counts, _PAD)) * _gaussian(cells)
    size = N_CELLS + 2 * _PAD
    smooth = np.fft.irfft2(spectrum, (size, size))[_PAD:-_PAD, _PAD:-_PAD]
    return np.maximum(smooth, 0.0)


@lru_cache(maxsize=16)
def _gaussian(cells: float) -> FloatArray:
    size = N_CELLS + 2 * _PAD
    across = np.exp(-2 * (np.pi * cells * np.fft.fftfreq(size)) ** 2)
    up = np.exp(-2 * (np.pi * cells * np.fft.rfftfreq(size)) ** 2)
    return np.asarray(across[:, None] * up[None, :])


@dataclass(frozen=True, slots=True)
class Overlay:
    """The shift of a tube's plane against the reference's, in units of the axes, and how alike they are.

    error : standard error of the shift
    at_end : whether the best shift is the largest that was allowed
    """

    shift: tuple[float, float]
    error: tuple[float, float]
    similarity: float
    at_end: bool


class Template:
    """A reference density over which tubes are laid.

    Parameters
    ----------
    plane : Plane
    reference : ndarray, shape (128, 128)
        Smoothed density.
    weight : ndarray, shape (128, 128)
        Where agreement counts, 0 to 1.
    """

    def __init__(self, plane: Plane, reference: FloatArray, weight: FloatArray) -> None:
        self.plane = plane
        self.root = np.sqrt(reference)
        self.norm = float(np.sqrt((weight * reference).sum()))
        self._pattern = np.conj(np.fft.rfft2(np.pad(weight * self.root, _PAD)))
        self._window = np.conj(np.fft.rfft2(np.pad(weight, _PAD)))

    def lay_over(self, density: FloatArray, *, max_shift: tuple[float, float], n_events: int) -> Overlay:
        """Find the shift within ± `max_shift` at which a tube's density is most like the reference.

        The measure is the cosine of the weighted square roots of both densities, 1 where they are
        proportional (Bhattacharyya's coefficient, within the weight's window).
        """
        size = (N_CELLS + 2 * _PAD,) * 2
        together = np.fft.irfft2(np.fft.rfft2(np.pad(np.sqrt(density), _PAD)) * self._pattern, size)
        below = np.fft.irfft2(np.fft.rfft2(np.pad(density, _PAD)) * self._window, size)
        steps = [
            min(int(limit / cell), _PAD - 1) for limit, cell in zip(max_shift, self.plane.cell, strict=True)
        ]
        rows, columns = (np.arange(-step, step + 1) for step in steps)
        window = np.ix_(rows, columns)
        agreement = together[window] / (self.norm * np.sqrt(np.maximum(below[window], 1e-12)))
        best = np.unravel_index(int(np.argmax(agreement)), agreement.shape)
        i, j = int(best[0]), int(best[1])
        across = _vertex(agreement[:, j], i)
        up = _vertex(agreement[i], j)
        cell = self.plane.cell
        n = max(n_events, 1)
        return Overlay(
            ((rows[i] + across[0]) * cell[0], (columns[j] + up[0]) * cell[1]),
            (cell[0] / np.sqrt(4 * n * across[1]), cell[1] / np.sqrt(4 * n * up[1])),
            float(agreement[i, j]),
            i in (0, rows.size - 1) or j in (0, columns.size - 1),
        )


def _vertex(curve: FloatArray, top: int) -> tuple[float, float]:
    """Where a parabola through the highest point and its neighbours has its top, and how sharp it is there.

    Near the truth the coefficient falls as shift² · (information of one event) / 8, so that its second
    derivative is a quarter of the information.
    """
    if not 0 < top < curve.size - 1:
        return 0.0, 1e-6
    before, at, after = curve[top - 1 : top + 2]
    bend = max(float(2 * at - before - after), 1e-6)
    return float(after - before) / (2 * bend), bend


def outline(plane: Plane, counts: FloatArray, inside: FloatArray, *, far: float = 1.0) -> Corners:
    """The polygon that holds the cells most of whose events an expert kept.

    Parameters
    ----------
    counts, inside : ndarray, shape (128, 128)
        Events of the parent and of those that were kept.
    far : float
        Where the region reaches the edge of the plane it is open, and goes on by this many lengths of the
        plane.

    Returns
    -------
    ndarray, shape (n_corners, 2)
        On the plane's axes; empty if there is no such region.
    """
    from contourpy import contour_generator  # noqa: PLC0415

    share = share_inside(counts, inside)
    padded = np.pad(share, 1)
    lines = contour_generator(z=padded.T).lines(0.5)
    if not lines:
        return np.empty((0, 2))
    largest = max((np.asarray(line, dtype=np.float64) for line in lines), key=lambda line: abs(_area(line)))
    largest = _simplified(largest[:-1], tolerance=0.4)
    low, size = np.asarray(plane.low), np.asarray(plane.cell)
    beyond = np.where(largest < 0.75, -far * N_CELLS, np.where(largest > N_CELLS + 0.25, far * N_CELLS, 0.0))
    return np.asarray(low + (largest - 0.5 + beyond) * size)


def share_inside(counts: FloatArray, inside: FloatArray, *, enough: float = 8.0) -> FloatArray:
    """Share of events kept about each cell, at the finest smoothing that has enough events there."""
    share = np.zeros_like(counts)
    open_cells = np.ones(counts.shape, dtype=bool)
    for cells in (0.7, 1.4, 2.8, 5.6, 11.2):
        around = smooth_plane(counts, cells=cells) * (4 * np.pi * cells**2)
        kept = smooth_plane(inside, cells=cells) * (4 * np.pi * cells**2)
        known = open_cells & (around >= enough)
        share[known] = kept[known] / around[known]
        open_cells &= ~known
    return share


def _area(corners: Corners) -> float:
    x, y = corners.T
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def _simplified(corners: Corners, *, tolerance: float) -> Corners:
    """Fewer corners: none left out lies farther than `tolerance` from the new outline.

    References
    ----------
    Douglas DH, Peucker TK. Cartographica 1973;10:112-122.
    """
    if len(corners) < 5:
        return corners
    far = int(np.argmax(np.hypot(*(corners - corners[0]).T)))
    first = _thinned(corners[: far + 1], tolerance)
    second = _thinned(np.vstack([corners[far:], corners[:1]]), tolerance)
    return np.vstack([first[:-1], second[:-1]])


def _thinned(line: Corners, tolerance: float) -> Corners:
    if len(line) < 3:
        return line
    start, end = line[0], line[-1]
    along = end - start
    length = float(np.hypot(*along)) or 1e-12
    away = np.abs(along[0] * (line[:, 1] - start[1]) - along[1] * (line[:, 0] - start[0])) / length
    farthest = int(np.argmax(away))
    if away[farthest] <= tolerance:
        return np.vstack([start, end])
    return np.vstack([_thinned(line[: farthest + 1], tolerance)[:-1], _thinned(line[farthest:], tolerance)])


def cells_inside(plane: Plane, corners: Corners) -> BoolArray:
    """Which cells of a plane have their middle in a polygon, shape (128, 128)."""
    from flowutils import gating  # noqa: PLC0415

    x, y = plane.centres()
    points = np.ascontiguousarray(np.column_stack([x.ravel(), y.ravel()]))
    inside = gating.points_in_polygon(np.ascontiguousarray(corners, dtype=np.float64), points)
    return np.asarray(inside, dtype=bool).reshape(N_CELLS, N_CELLS)
