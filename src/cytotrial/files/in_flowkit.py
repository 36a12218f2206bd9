"""GatingML applied to an FCS file by FlowKit, which reads both itself: the second opinion on our gates."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from cytotrial.errors import CytotrialError
from cytotrial.files.xml_ids import name_of_id
from cytotrial.terms import BoolArray


def applied_by_flowkit(gates: Path, fcs: Path) -> dict[str, BoolArray]:
    """The events of every population as FlowKit finds them.

    Parameters
    ----------
    gates : Path
        A GatingML 2.0 file.
    fcs : Path

    Returns
    -------
    dict of population to ndarray of bool, shape (n_events,)
        Over the events whose values are all finite, in the file's order: those that we gate.

    Raises
    ------
    CytotrialError
        If FlowKit refuses the file or the gates; its reason is given.
    """
    import flowkit  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sample = flowkit.Sample(str(fcs), ignore_offset_error=True, ignore_offset_discrepancy=True)
        strategy = flowkit.parse_gating_xml(str(gates))
        results = strategy.gate_sample(sample)
        masks = {name: results.get_gate_membership(name, path) for name, path in strategy.get_gate_ids()}
        finite = np.isfinite(sample.get_events(source="raw")).all(axis=1)
    except Exception as error:
        raise CytotrialError(
            f"{gates}: FlowKit cannot apply it to {fcs.name}: {type(error).__name__}: {error}.",
            hint="The gates are written all the same; compare them in the program you use.",
        ) from None
    return {name_of_id(name): np.asarray(mask, dtype=bool)[finite] for name, mask in masks.items()}
