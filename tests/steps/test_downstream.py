"""What a statistician does with it: T1 from ADCP alone, a mixed model, a value traced to its files."""

from __future__ import annotations

import hashlib
import json
import math
import re
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyreadstat
import pytest
from scipy import stats

from cytotrial.files.tables import read_table
from cytotrial.science.cdisc.conformance.model import is_close
from cytotrial.science.cdisc.recompute import recompute
from cytotrial.science.cdisc.suppcp import FROM_RESULT
from cytotrial.science.statistics import hodges_lehmann, holm
from tests.steps.conftest import DatasetFolder


def from_csv(trial: DatasetFolder, name: str) -> pd.DataFrame:
    return pd.read_csv(trial.path(f"results/dataset/adam/{name}.csv"), keep_default_na=False, na_values=[""])


def from_xpt(trial: DatasetFolder, name: str) -> pd.DataFrame:
    frame, _ = pyreadstat.read_xport(str(trial.path(f"results/dataset/adam/{name}.xpt")))
    return frame.mask(frame == "")


def t1_of(adcp: pd.DataFrame, n_planned: int) -> dict[tuple[str, str], dict[str, float]]:
    """Table T1 as a reader of ADCP works it out: one filter, then medians, ranks and changes."""
    used = adcp[adcp["ANL01FL"] == "Y"]
    table: dict[tuple[str, str], dict[str, float]] = {}
    for parameter, part in used.groupby("PARAMCD"):
        p_values: dict[str, float] = {}
        for _, visit in part.sort_values("AVISITN").groupby("AVISITN"):
            changes = visit["CHG"].dropna().to_numpy()
            q1, median, q3 = np.percentile(visit["AVAL"], [25, 50, 75])
            name = str(visit["AVISIT"].iloc[0])
            moved = changes[changes != 0]
            p = float(stats.wilcoxon(moved, method="exact").pvalue) if moved.size > 1 else math.nan
            p_values[name] = p
            walsh = [(one + other) / 2 for place, one in enumerate(changes) for other in changes[place:]]
            limits = hodges_lehmann(changes) if changes.size else None
            table[str(parameter), name] = {
                "n_planned": n_planned,
                "n": len(visit),
                "q1": float(q1),
                "median": float(median),
                "q3": float(q3),
                "n_below_lloq": int((visit["CRIT1FL"] == "Y").sum()),
                "n_paired": int(changes.size),
                "change_median": float(np.median(changes)) if changes.size else math.nan,
                "hl": float(np.median(walsh)) if walsh else math.nan,
                "hl_low": limits.low if limits else math.nan,
                "hl_high": limits.high if limits else math.nan,
                "ratio_median": float(np.median(visit["R2BASE"].dropna())) if changes.size else math.nan,
                "p": p,
            }
        for (name, _), adjusted in zip(p_values.items(), holm(list(p_values.values())), strict=True):
            table[str(parameter), name]["p_holm"] = float(adjusted)
    return table


def reported_t1(trial: DatasetFolder) -> dict[tuple[str, str], dict[str, str]]:
    rows = read_table(trial.path("results/tables/t1_cell_counts.csv"))
    return {(row["parameter"], row["visit"]): row for row in rows if float(row["n"]) > 0}


@pytest.mark.parametrize("read", [from_csv, from_xpt], ids=["csv", "xpt"])
def test_table_t1_is_reproduced_from_the_analysis_dataset_alone(trial: DatasetFolder, read: Any):
    ours = t1_of(read(trial, "adcp"), n_planned=len(read(trial, "adsl")))
    reported = reported_t1(trial)
    assert set(ours) == set(reported)
    assert len(ours) >= 20
    for key, numbers in ours.items():
        for name, number in numbers.items():
            cell = reported[key][name]
            told = math.nan if cell == "" else float(cell)
            assert number == pytest.approx(told, rel=1e-9, nan_ok=True), (key, name)


def test_one_filter_selects_the_records_of_a_mixed_model(trial: DatasetFolder):
    # mmrm(log(AVAL) ~ log(BASE) + AVISIT + us(AVISIT | USUBJID)): what its columns need.
    adcp = from_xpt(trial, "adcp")
    chosen = adcp[(adcp["PARAMCD"] == "TREGABS") & (adcp["ANL01FL"] == "Y") & adcp["CHG"].notna()]
    assert len(chosen) >= 3
    for name in ("AVAL", "BASE", "CHG", "AVISITN"):
        assert pd.api.types.is_float_dtype(chosen[name])
        assert chosen[name].notna().all()
    assert (chosen[["AVAL", "BASE"]] > 0).all().all()
    assert chosen[["USUBJID", "AVISIT", "TRTP", "FASFL"]].notna().all().all()
    assert not chosen.duplicated(["USUBJID", "AVISIT"]).any()


def qualifiers(trial: DatasetFolder) -> dict[tuple[str, str], dict[str, str]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in trial.rows("SUPPCP"):
        found.setdefault((row["USUBJID"], row["IDVARVAL"]), {})[row["QNAM"]] = row["QVAL"]
    return found


def short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def test_every_value_is_traced_to_its_files_its_gates_and_its_definition(trial: DatasetFolder):
    sheet = pd.read_csv(trial.path("resources/demo/sheets/samples.tsv"), sep="\t", dtype=str).set_index(
        "sample_id"
    )
    sources = {(row["USUBJID"], row["CPSEQ"]): row for row in trial.rows("CP")}
    stated = qualifiers(trial)
    gates: dict[str, list[bytes]] = {}
    for line in trial.path("results/gates.csv").read_bytes().splitlines(keepends=True):
        gates.setdefault(line.split(b",")[0].decode(), []).append(line)
    traced = 0
    for row in trial.rows("ADCP"):
        if row["SRCDOM"] != "CP":
            continue
        source = sources[row["USUBJID"], row["SRCSEQ"]]
        assert source["CPSTRESN"] == row["AVAL"]
        about = stated[row["USUBJID"], str(row["SRCSEQ"])]
        tubes = about["CPTUBES"].split(";")
        for tube, file_hash, gate_hash in zip(
            tubes, about["CPFCSSHA"].split(";"), about["CPGPLSHA"].split(";"), strict=True
        ):
            raw = trial.path("resources/demo/fcs", str(sheet.loc[tube, "fcs"]))
            assert short_hash(raw.read_bytes()) == file_hash
            assert short_hash(b"".join(gates[tube])) == gate_hash
            assert sheet.loc[tube, "subject"] == row["SUBJID"]
        for version, definition in zip(
            about["CPGATVER"].split(";"), about["CPGATSHA"].split(";"), strict=True
        ):
            panel, digest = definition.split(":")
            file = trial.path(f"config/gating/{panel}.yaml")
            assert short_hash(file.read_bytes()) == digest
            # A version names its template's, and the date and content of the reference it leans on.
            template, _, reference = version.split(":")[1].partition("@")
            assert f"\nversion: {template}\n" in file.read_text(encoding="utf-8")
            learnt = json.loads(trial.path(f"config/gating/{panel}.reference.json").read_bytes())
            assert reference == learnt["version"]
        traced += 1
    assert traced > 40


def test_the_events_of_a_value_are_those_of_its_gate(trial: DatasetFolder):
    populations = {
        (row["sample_id"], row["population"]): row
        for row in read_table(trial.path("results/populations.csv"))
    }
    checked = 0
    stated = qualifiers(trial)
    for row in trial.rows("CP"):
        if row["CPSTRESN"] is None:
            continue
        about = stated[row["USUBJID"], str(row["CPSEQ"])]
        own = next(
            populations[tube, row["CPGATE"]]
            for tube in about["CPTUBES"].split(";")
            if (tube, row["CPGATE"]) in populations
            and populations[tube, row["CPGATE"]]["panel"] == row["CPTSTPNL"]
        )
        assert about["CPNEVT"] == own["events"]
        numbers = {FROM_RESULT[name]: float(value) for name, value in about.items()
                   if name in FROM_RESULT}  # fmt: skip
        value = recompute(row["CPANMETH"], numbers)
        assert value is not None
        assert is_close(row["CPSTRESN"], value)
        checked += 1
    assert checked > 40


def test_a_count_by_a_blood_count_is_linked_to_the_record_of_the_blood_count(trial: DatasetFolder):
    config = trial.path("config/config.yaml")
    text = config.read_text(encoding="utf-8").replace("method: beads", "method: dual_platform")
    config.write_text(text, encoding="utf-8")
    for command in ("count", "dataset", "sdtm", "adam", "define", "check-dataset"):
        done = trial.command(command)
        assert done.exit_code == 0, done.exception
    counted = [row for row in trial.rows("CP") if row["CPANMETH"] == "DUAL"]
    blood = {row["LBLNKID"]: row["LBSTRESN"] for row in trial.rows("LB") if row["LBTESTCD"] == "LYM"}
    about = qualifiers(trial)
    assert len(counted) >= 10
    for row in counted:
        assert row["CPLNKID"] == row["CPREFID"]
        assert float(about[row["USUBJID"], str(row["CPSEQ"])]["CPCBCLY"]) == blood[row["CPLNKID"]]
    linked = {row["CPLNKID"] for row in trial.rows("CP")} - {""}
    assert linked == {row["LBLNKID"] for row in trial.rows("LB")} - {""}


def test_a_transport_file_opens_with_its_labels_in_another_reader(trial: DatasetFolder):
    path = Path(trial.path("results/dataset/adam/adcp.xpt"))
    other = pd.read_sas(path, encoding="ascii")
    ours = trial.rows("ADCP")
    assert len(other) == len(ours)
    assert list(other.columns) == list(ours[0])
    assert other["AVAL"].tolist() == [row["AVAL"] for row in ours]


def examples(repository: Path, language: str) -> list[str]:
    page = (repository / "docs" / "trial-dataset.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def test_the_examples_of_the_documentation_run(trial: DatasetFolder, repository: Path):
    python, sql = examples(repository, "python"), examples(repository, "sql")
    assert (len(python), len(sql)) == (2, 1)
    for example in python:
        names: dict[str, Any] = {}
        exec(example, names)
        frame = names["change"] if "change" in names else names["adcp"]
        assert len(frame) > 10
    with duckdb.connect(str(trial.path("results/dataset/trial.duckdb")), read_only=True) as connection:
        rows = connection.execute(sql[0]).fetchall()
    assert [row[0] for row in rows] == ["W00", "W06", "W12", "W24"]


def test_the_hashes_of_the_documentation_are_those_of_the_named_commands(trial: DatasetFolder):
    about = next(about for about in qualifiers(trial).values() if "CPGPLSHA" in about)
    tube = about["CPTUBES"].split(";")[0]
    command = f"grep '^{tube},' results/gates.csv | sha256sum"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout[:16] == about["CPGPLSHA"].split(";")[0]
