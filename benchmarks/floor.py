"""The floor: what any program must do that looks at all events of a tube once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cytotrial.files.fcs import inspect_fcs

LIMITS = (200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0)


@dataclass(frozen=True, eq=False)
class Floor:
    """Where a file's events are, and what they are multiplied with.

    data_begin, n_events : offset of the first event in bytes; number of events
    unmix : ndarray, shape (n_fluorochromes, n_channels), float32
        The transposed compensation matrix, zero for channels that are not compensated.
    """

    path: Path
    data_begin: int
    n_events: int
    unmix: npt.NDArray[np.float32]


def floor_of(path: Path) -> Floor | None:
    """The floor of a file of float32 events with an embedded matrix; None for a file that is refused."""
    header = inspect_fcs(path).header
    if header is None or header.spillover is None:
        return None
    detectors = header.spillover.detectors
    unmix = np.zeros((len(detectors), len(header.names)), dtype=np.float32)
    unmix[:, [header.names.index(name) for name in detectors]] = np.linalg.inv(header.spillover.values).T
    return Floor(path, header.data_begin, header.n_events, unmix)


def reach_floor(floor: Floor) -> int:
    """Read the bytes, one single-precision matrix product, six comparisons; the events that met them."""
    content = floor.path.read_bytes()
    n_channels = floor.unmix.shape[1]
    values = np.frombuffer(content, "<f4", count=floor.n_events * n_channels, offset=floor.data_begin)
    compensated = floor.unmix @ values.reshape(-1, n_channels).T
    rows = len(compensated)
    return sum(int(np.count_nonzero(compensated[i % rows] > limit)) for i, limit in enumerate(LIMITS))
