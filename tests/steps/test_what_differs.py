"""What two folders of results say they differ in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cytotrial.errors import CytotrialError
from cytotrial.files.spillover import write_spillover
from cytotrial.files.strategy import gate_to_json, write_strategies
from cytotrial.files.tables import write_table
from cytotrial.files.whole import write_text
from cytotrial.steps.layout import CANDIDATES, COUNTS, GATES, INVENTORY, POPULATIONS, QUALITY, Layout
from cytotrial.steps.results_folder import ResultsFolder
from cytotrial.steps.what_differs import differences, unrecorded
from cytotrial.terms import Dimension, Find, GatingStrategy, Population, RectangleGate, SpilloverMatrix

CUT = RectangleGate((Dimension("CD4"),), (0.5,), (None,))


def row(columns: Any, **cells: Any) -> dict[str, Any]:
    return {**dict.fromkeys(columns, ""), **cells}


def results(folder: Path, **changes: Any) -> ResultsFolder:
    """A finished run of one tube; `changes` are what another run has otherwise."""
    has: dict[str, Any] = {
        "version": "1.0.0",
        "fraction": 0.55,
        "spill": 0.1,
        "sha256": "a" * 64,
        "status": "ok",
        "masked": "0",
        "origin": "template",
        "manifest": None,
        **changes,
    }
    layout = Layout(folder)
    tube = {"sample_id": "T1", "panel": "treg"}
    write_table(
        layout.inventory, INVENTORY, [row(INVENTORY, **tube, fcs_sha256=has["sha256"], status=has["status"])]
    )
    populations = [row(POPULATIONS, **tube, population="CD4+", parent="root", gating_version=has["version"])]
    write_table(layout.populations, POPULATIONS, populations)
    gate = row(GATES, sample_id="T1", population="CD4+", parent="root", gate=gate_to_json(CUT))
    write_table(layout.gates, GATES, [{**gate, "origin": has["origin"]}])
    write_table(layout.quality, QUALITY, [row(QUALITY, sample_id="T1", removed_percent=has["masked"])])
    write_table(layout.counts, list(COUNTS), [])
    write_table(layout.candidates, list(CANDIDATES), [])
    find = Find("landmark_fraction", (Dimension("CD25"),), {"fraction": has["fraction"]})
    strategy = GatingStrategy(
        "treg", has["version"], "treg.yaml", (Population("CD25+", "root", find=find), *has.get("more", ()))
    )
    write_strategies(layout.strategy("treg"), {"*": strategy})
    values = np.array([[1.0, has["spill"]], [0.0, 1.0]])
    write_spillover(layout.matrix("treg", "B1"), SpilloverMatrix(("PE-A", "APC-A"), values, "controls"))
    if has["manifest"]:
        write_text(folder / "manifest.json", json.dumps(has["manifest"]))
    return ResultsFolder(folder)


def found(tmp_path: Path, **changes: Any) -> list[tuple[str, str, str]]:
    old = results(tmp_path / "old", manifest=changes.pop("old_manifest", None))
    return differences(old, results(tmp_path / "new", **changes))


def test_two_runs_alike_differ_in_nothing(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_a_changed_argument_of_a_gate_finder_is_told_beside_the_version(tmp_path: Path) -> None:
    assert found(tmp_path, version="1.1.0", fraction=0.6) == [
        ("panel treg: gating version", "1.0.0", "1.1.0"),
        ("panel treg: CD25+.find.arguments.fraction", "0.55", "0.6"),
    ]


def test_a_change_without_a_new_version_is_told_all_the_same(tmp_path: Path) -> None:
    assert found(tmp_path, fraction=0.6) == [("panel treg: CD25+.find.arguments.fraction", "0.55", "0.6")]


def test_a_population_that_one_gating_lacks_is_told(tmp_path: Path) -> None:
    more = (Population("Treg", "CD25+", gate=CUT),)
    assert found(tmp_path, more=more) == [("panel treg: population Treg", "–", "there")]


def test_the_largest_difference_of_two_matrices_is_told_with_its_channels(tmp_path: Path) -> None:
    assert found(tmp_path, spill=0.15) == [
        ("spillover matrix treg.B1, largest difference: PE-A into APC-A", "0.1000", "0.1500")
    ]


def test_another_file_status_mask_or_hand_is_told(tmp_path: Path) -> None:
    told = found(tmp_path, sha256="b" * 64, status="warn", masked="2.5", origin="override")
    assert told == [
        ("tube T1: FCS file", "a" * 60, "b" * 60),
        ("tube T1: status", "ok", "warn"),
        ("masked events of 1 tubes, such as T1", "0 %", "2.5 %"),
        ("gates of origin override", "0", "1"),
        ("gates of origin template", "1", "0"),
    ]


def test_software_and_settings_are_those_of_the_manifests_but_for_lists_of_files(tmp_path: Path) -> None:
    old = {"versions": {"cytotrial": "0.1.0"}, "config_sha256": "x", "outputs": {"a.csv": "1"}, "host": "h1"}
    new = {"versions": {"cytotrial": "0.2.0"}, "config_sha256": "x", "outputs": {"a.csv": "2"}, "host": "h2"}
    assert found(tmp_path, old_manifest=old, manifest=new) == [
        ("manifest.versions.cytotrial", "0.1.0", "0.2.0")
    ]


def test_a_folder_that_recorded_nothing_is_named(tmp_path: Path) -> None:
    old, new = results(tmp_path / "old"), results(tmp_path / "new", manifest={"versions": {}})
    (sentence,) = unrecorded(old, new)
    assert sentence.startswith(f"{tmp_path / 'old'} holds no manifest.json")


def test_a_folder_without_finished_results_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    folder = results(tmp_path / "old")
    folder.require()
    folder.layout.counts.unlink()
    with pytest.raises(CytotrialError, match=r"dataset/counts\.csv is not there"):
        folder.require()
