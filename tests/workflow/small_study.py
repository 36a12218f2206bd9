"""A study of a few real files in a folder of its own, written by the test that runs it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.workflow.study import Study, install_workflow

VISITS = "visit\tvisit_num\ttarget_day\tfirst_day\tlast_day\tbaseline\nV0\t0\t1\t\t8\tY\nV1\t1\t15\t9\t\t\n"


def small_study(
    repository: Path,
    folder: Path,
    *,
    files: Sequence[Path],
    markers: Mapping[str, str],
    gating: Path,
    compensation: str = "none",
    without_fluorochrome: Sequence[str] = (),
) -> Study:
    """One panel, one sample tube for each file (sample_id T0, T1, …), all events kept.

    Parameters
    ----------
    markers : marker → the $PnS or $PnN that it goes by
    gating : copied beside the files under its own name
    """
    folder.mkdir(exist_ok=True)
    install_workflow(repository, folder)
    shutil.rmtree(folder / "config")
    data = folder / "data"
    data.mkdir()
    for path in (*files, gating):
        shutil.copy(path, data)
    rows = [f"T{i}\t{path.name}\tp\tsample\tS{i}\tV0\tD{i}\t2024-01-01\tB1" for i, path in enumerate(files)]
    header = "sample_id\tfcs\tpanel\trole\tsubject\tvisit\tspecimen\tcollected\tbatch"
    (data / "samples.tsv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    subjects = [f"S{i}\t2024-01-01" for i in range(len(files))]
    (data / "subjects.tsv").write_text("\n".join(["subject\tfirst_dose", *subjects]) + "\n", encoding="utf-8")
    (data / "visits.tsv").write_text(VISITS, encoding="utf-8")
    sheets = {name: f"data/{name}.tsv" for name in ("samples", "subjects", "visits")}
    panel = {
        "markers": {marker: [name] for marker, name in markers.items()},
        "compensation": compensation,
        "gating": f"data/{gating.name}",
        "without_fluorochrome": list(without_fluorochrome),
    }
    config = {
        "study": "FOREIGN",
        "fcs_dir": "data",
        "results": "results",
        "sheets": sheets,
        "panels": {"p": panel},
        "quality": {"time_bins": False},
    }
    (folder / "config").mkdir()
    text = yaml.safe_dump(config, sort_keys=False)
    (folder / "config" / "config.yaml").write_text(text, encoding="utf-8")
    return Study(folder)
