"""Copies that name nobody: what is overwritten, what stays, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from cytotrial.errors import ConfigError
from cytotrial.files.fcs import inspect_fcs, read_events
from cytotrial.files.identity import name_may_identify
from cytotrial.steps.deidentify import deidentify
from tests.steps.fcs_by_hand import TREG, write_fcs

PERSON = {
    "PATIENT NAME": "Doe^Jane",
    "$OP": "R. Miller",
    "TUBE NAME": "Doe Jane wk12",
    "VENDOR NOTE 7": "born 1961-03-04",
    "$FIL": "doe_jane.fcs",
    "$SRC": "J//D",
    "$INST": "Städtisches Klinikum",
}
CLEARTEXT = (b"Doe", b"Jane", b"Miller", b"1961", b"Klinikum", b"doe_jane", b"J//D")


def copied(src: Path, folder: Path) -> bytes:
    dst = folder / "copy.fcs"
    deidentify(src, dst)
    return dst.read_bytes()


def test_every_value_that_could_name_a_person_is_gone_and_no_byte_has_moved(tmp_path: Path) -> None:
    src = write_fcs(tmp_path / "a.fcs", keywords=PERSON)
    before, after = src.read_bytes(), copied(src, tmp_path)
    assert all(word in before for word in CLEARTEXT)
    assert not any(word in after for word in CLEARTEXT)
    assert len(after) == len(before)
    assert b"/PATIENT NAME/XXXXXXXX/$OP/XXXXXXXXX/" in after


def test_events_names_labels_and_scales_stay(tmp_path: Path) -> None:
    src = write_fcs(
        tmp_path / "a.fcs",
        keywords={**PERSON, "$DATE": "08-JAN-2024", "$SPILLOVER": "2,FITC-A,PE-A,1,.1,0,1"},
    )
    copied(src, tmp_path)
    old, new = (inspect_fcs(path).header for path in (src, tmp_path / "copy.fcs"))
    assert old is not None
    assert new is not None
    assert (new.channels, new.columns, new.acquired) == (old.channels, old.columns, "2024-01-08")
    assert [channel.label for channel in new.channels] == [label for _, label in TREG]
    events = read_events(tmp_path / "copy.fcs", new).events
    assert np.array_equal(events.values, read_events(src, old).events.values)


def test_what_a_doubled_delimiter_hides_is_overwritten_too(tmp_path: Path) -> None:
    src = write_fcs(tmp_path / "a.fcs", keywords={"$SRC": "Jane//Doe", "$COM": "x"})
    assert b"$SRC/XXXXXXXXX/$COM/X/" in copied(src, tmp_path)


def test_supplemental_text_analysis_and_bytes_of_no_segment_are_searched(tmp_path: Path) -> None:
    src = write_fcs(
        tmp_path / "a.fcs",
        keywords={"$OP": "R. Miller"},
        supplemental="/PATIENT ID/Doe Jane/$P4V/450/",
        analysis="/DIAGNOSIS/SLE of Jane Doe/",
        tail=b"exported by Miller for Jane Doe",
    )
    after = copied(src, tmp_path)
    assert not any(word in after for word in CLEARTEXT)
    assert b"/PATIENT ID/XXXXXXXX/$P4V/450/" in after
    record = (tmp_path / "copy.deidentified.tsv").read_text(encoding="utf-8")
    assert "ANALYSIS;bytes" in record
    assert "Doe" not in record


def test_analysis_offsets_that_point_into_the_events_do_not_touch_them(tmp_path: Path) -> None:
    bogus = {"$BEGINANALYSIS": "3060", "$ENDANALYSIS": "3090"}  # DATA begins at byte 3058
    src = write_fcs(tmp_path / "a.fcs", keywords={**PERSON, **bogus})
    assert copied(src, tmp_path)[3058:] == src.read_bytes()[3058:]


def test_a_checksum_at_the_end_is_taken_back(tmp_path: Path) -> None:
    # FCS 3.1: the eight bytes after the last segment are a CRC, or 00000000 if there is none.
    assert copied(write_fcs(tmp_path / "a.fcs", tail=b"0012ABCD"), tmp_path).endswith(b"00000000")


def test_a_name_that_stays_in_a_label_is_told(tmp_path: Path) -> None:
    channels = [*TREG[:-1], ("R780-A", "CD8 Jane")]
    result = deidentify(write_fcs(tmp_path / "a.fcs", channels, keywords=PERSON), tmp_path / "copy.fcs")
    assert result.copied[0].remaining == ("$P8S",)
    assert "$P8S may still hold a name" in result.in_words()


def test_both_hashes_are_recorded_beside_the_copies(tmp_path: Path) -> None:
    src = write_fcs(tmp_path / "lab" / "deep" / "S001.FCS", keywords=PERSON).parents[1]
    write_fcs(src / "Jane_Doe_wk12.fcs")
    (src / "notes.txt").write_text("not copied", encoding="utf-8")
    result = deidentify(src, tmp_path / "out")
    assert result.record == tmp_path / "out.deidentified.tsv"
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == ["Jane_Doe_wk12.fcs", "S001.FCS"]
    rows = [line.split("\t") for line in result.record.read_text(encoding="utf-8").splitlines()]
    for row in rows[1:]:
        for folder, digest in ((src, row[1]), (tmp_path / "out", row[2])):
            assert hashlib.sha256((folder / row[0]).read_bytes()).hexdigest() == digest
    assert [(row[0], row[6]) for row in rows[1:]] == [
        ("Jane_Doe_wk12.fcs", "true"),
        ("deep/S001.FCS", "false"),
    ]
    assert "Jane_Doe_wk12.fcs: the path itself may name a person" in result.in_words()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Jane_Doe_wk12", True), ("MRN 12345678", True), ("S001_W12_treg", False), ("Tube_001", False)],
)
def test_file_names_that_look_like_a_persons_are_told_apart(name: str, expected: bool) -> None:
    assert name_may_identify(name) is expected


def test_nothing_is_overwritten_and_folders_do_not_hold_each_other(tmp_path: Path) -> None:
    src = write_fcs(tmp_path / "lab" / "a.fcs").parent
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigError, match="is there already"):
        deidentify(src, tmp_path / "there")
    with pytest.raises(ConfigError, match="lie inside each other"):
        deidentify(src, src / "copies")
    with pytest.raises(ConfigError, match="does not exist"):
        deidentify(tmp_path / "nowhere", tmp_path / "copies")
    assert not (tmp_path / "copies").exists()


def test_a_file_that_is_not_understood_is_refused_and_not_copied(tmp_path: Path) -> None:
    src = write_fcs(tmp_path / "lab" / "good.fcs").parent
    (src / "cut.fcs").write_bytes((src / "good.fcs").read_bytes()[:-50])
    result = deidentify(src, tmp_path / "out")
    assert [copy.file for copy in result.copied] == ["good.fcs"]
    assert result.refused[0][0] == "cut.fcs"
    assert "TRUNCATED" in result.refused[0][1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.fcs"]


def test_copies_of_real_files_hold_the_same_events(shared: Path, tmp_path: Path) -> None:
    for name in ("calibur_fcs2_itn_cd25", "flowcore_calibur_compensation", "aurora_foxp3_100events"):
        src = shared / "data" / name
        result = deidentify(src, tmp_path / name)
        assert result.refused == ()
        for copy in result.copied:
            old, new = (inspect_fcs(folder / copy.file).header for folder in (src, tmp_path / name))
            assert old is not None
            assert new is not None
            events = [read_events(folder / copy.file, header).events.values for folder, header in
                      ((src, old), (tmp_path / name, new))]  # fmt: skip
            assert np.array_equal(*events, equal_nan=True)
            assert (tmp_path / name / copy.file).stat().st_size == (src / copy.file).stat().st_size
