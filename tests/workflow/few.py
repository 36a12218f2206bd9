"""A study of few tubes, for tests that run it many times: one panel, two subjects."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import yaml

from tests.workflow.study import Study, install_workflow

SUBJECTS = ("S001", "S002")
VISITS = ("W00", "W12")


def install_few(demo: Path, repository: Path, folder: Path) -> Study:
    """The count panel of the demo at two visits of two subjects; a run of it takes some ten jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    install_workflow(repository, folder)
    configuration = folder / "config" / "config.yaml"
    plain = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    plain["panels"] = {"count": plain["panels"]["count"]}
    plain["parameters"] = {code: plain["parameters"][code] for code in ("LYMABS", "CD4ABS")}
    plain["cdisc"]["tests"] = {
        code: test for code, test in plain["cdisc"]["tests"].items() if code in plain["parameters"]
    }
    plain.pop("qc_donor")
    plain["report"] = {"title": "Few tubes"}
    configuration.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    data = folder / "resources" / "demo"
    shutil.copytree(demo / "sheets", data / "sheets")
    for path in _keep_few(data / "sheets"):
        (data / "fcs" / path).parent.mkdir(parents=True, exist_ok=True)
        if (demo / "fcs" / path).exists():
            shutil.copyfile(demo / "fcs" / path, data / "fcs" / path)
    return Study(folder)


def _keep_few(sheets: Path) -> list[str]:
    """Cut every sheet to what is left of the trial; the FCS files that the sample sheet still names."""
    samples = read_sheet(sheets / "samples.tsv")
    drawn = [row for row in samples if row["subject"] in SUBJECTS and row["visit"] in VISITS]
    batches = {row["batch"] for row in drawn if row["panel"] == "count"}
    kept = [
        row
        for row in samples
        if row["panel"] == "count" and (row in drawn or (not row["subject"] and row["batch"] in batches))
    ]
    specimens = {row["specimen"] for row in kept}
    write_sheet(sheets / "samples.tsv", kept)
    write_sheet(
        sheets / "cbc.tsv", [row for row in read_sheet(sheets / "cbc.tsv") if row["specimen"] in specimens]
    )
    for name in ("subjects.tsv", "clinical.tsv", "exposure.tsv"):
        write_sheet(sheets / name, [row for row in read_sheet(sheets / name) if row["subject"] in SUBJECTS])
    return [row["fcs"] for row in kept if row["fcs"]]


def read_sheet(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def write_sheet(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
