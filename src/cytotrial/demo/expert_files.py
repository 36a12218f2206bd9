"""The simulated expert's gates as GatingML, one file a tube: what `learn-reference` reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cytotrial.demo.biology import LAB, Lab
from cytotrial.demo.expert import expert_gates
from cytotrial.demo.panels import PANELS
from cytotrial.demo.tubes import TubePlan, batch_of_panel
from cytotrial.files.gatingml_writer import write_gatingml
from cytotrial.terms import TUBE_MATRIX, Role, SpilloverMatrix


def write_expert_gates(folder: Path, plans: Iterable[TubePlan], *, seed: int, lab: Lab = LAB) -> int:
    """Write `<panel>/<sample_id>.xml` of every sample tube that was done; the number of files.

    The expert compensates with the batch's true matrix, which stands in the file.
    """
    n_files = 0
    for plan in plans:
        if plan.role is Role.SAMPLE and not plan.missed:
            panel = PANELS[plan.panel]
            spillover = batch_of_panel(panel, plan.batch, seed=seed, shift=lab.shift).spillover
            matrices = {TUBE_MATRIX: SpilloverMatrix(tuple(panel.dye_detectors), spillover, "expert")}
            path = folder / plan.panel / f"{plan.sample_id}.xml"
            write_gatingml(path, expert_gates(plan, seed=seed, lab=lab), matrices=matrices, notes={})
            n_files += 1
    return n_files
