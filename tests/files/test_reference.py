"""The file that says what reference tubes taught: readable, strict, with a version of its content."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cytotrial.errors import TemplateError
from cytotrial.files.reference import ReferenceFile, Taught, read_reference, write_reference

EXPERT = {
    "expert": "AB, immunologist",
    "gated_on": "2026-01-01",
    "source": "treg.wsp",
    "source_sha256": "0" * 64,
    "tubes": 1,
}
TUBE = {"sample_id": "T1", "batch": "B1", "fcs_sha256": "1" * 64}
CD25 = Taught(
    "landmark_fraction",
    "CD4+",
    ("CD25", "FOXP3"),
    {"fraction": 0.55},
    others={"reference_valley": {"cut": 0.5, "height": [0.1, 0.2]}},
    n_tubes=1,
    n_batches=1,
)
REFERENCE = ReferenceFile(
    "treg",
    "Treg CD25+FOXP3+",
    "1.0.0",
    (EXPERT,),
    (TUBE,),
    {"CD25+": CD25},
    {"CD25+ / CD4+": {"mean_absolute": 5.0, "bias": -1.0, "largest": 9.0, "tubes": 1}},
)


def test_a_reference_comes_back_as_it_was_written(tmp_path: Path):
    write_reference(tmp_path / "a.json", REFERENCE)
    assert read_reference(tmp_path / "a.json") == REFERENCE


def test_the_same_reference_gives_the_same_bytes_whatever_order_it_was_put_together_in(tmp_path: Path):
    shuffled = replace(REFERENCE, experts=(dict(reversed(EXPERT.items())),))
    write_reference(tmp_path / "a.json", REFERENCE)
    write_reference(tmp_path / "b.json", shuffled)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_the_file_can_be_read_by_a_person(tmp_path: Path):
    long = replace(CD25, constants={"height": [number / 7 for number in range(500)]})
    write_reference(tmp_path / "a.json", replace(REFERENCE, populations={"CD25+": long}))
    lines = (tmp_path / "a.json").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 60
    assert sum(len(line) > 120 for line in lines) == 1
    assert '  "wanted": {"batches": 6, "tubes": 30}' in lines


def test_the_version_is_the_day_of_gating_and_changes_with_the_content():
    other = replace(CD25, constants={"fraction": 0.56})
    versions = {REFERENCE.version, replace(REFERENCE, populations={"CD25+": other}).version}
    assert len(versions) == 2
    assert all(version.startswith("2026-01-01+") for version in versions)


def test_a_number_edited_by_hand_is_noticed(tmp_path: Path):
    path = tmp_path / "a.json"
    write_reference(path, REFERENCE)
    path.write_text(path.read_text(encoding="utf-8").replace("0.55", "0.65"), encoding="utf-8")
    with pytest.raises(TemplateError, match=r"the content is that of .*learn-reference"):
        read_reference(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "cytotrial.reference/9"}, "schema"),
        ({"populatons": {}}, "populatons"),
        ({"tubes": [{"sample_id": "T1"}]}, "tubes.0.batch"),
        ({"populations": {"CD25+": {"finder": 3}}}, "populations.CD25+.finder"),
    ],
)
def test_what_is_no_reference_is_refused_with_its_place(tmp_path: Path, change: dict, message: str):
    path = tmp_path / "a.json"
    write_reference(path, REFERENCE)
    plain = json.loads(path.read_text(encoding="utf-8")) | change
    path.write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(TemplateError, match="problem") as caught:
        read_reference(path)
    assert message in str(caught.value)


def test_a_missing_file_is_refused_with_what_to_do(tmp_path: Path):
    with pytest.raises(TemplateError, match="learn-reference"):
        read_reference(tmp_path / "none.json")
