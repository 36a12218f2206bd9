"""Names planted in the keywords of FCS files; every byte that the project writes is searched for them."""

from __future__ import annotations

import base64
import binascii
import csv
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cytotrial.files.database import read_database, rows_of_table
from cytotrial.files.fcs import inspect_fcs, read_events
from cytotrial.steps.deidentify import deidentify
from tests.workflow.study import Study, install_workflow

PLANTED = {
    "$SRC": "Quillfeather, Ophelia",
    "$SMNO": "MRN 55512340987",
    "$COM": "mother of Zebedee Quillfeather",
    "$OP": "R. Hollowaybrook",
    "$EXP": "Prof. Wintergreenly",
    "$PROJ": "Wintergreenly lupus study",
    "$INST": "Clinic of Saint Barnabyford",
    "$CELLS": "PBMC of Ophelia Q.",
    "$SYS": "Workstation Hollowaybrook",
    "$LAST_MODIFIER": "hollowaybrook",
    "$FIL": "../quillfeather ophelia 1961-03-04.fcs",
    "$WELLID": "Ophelia-A1",
    "PATIENT NAME": "Quillfeather^Ophelia",
    "PATIENT ID": "55512340987",
    "BIRTH DATE": "1961-03-04",
    "SAMPLE ID": "OPHELIA-Q",
    "SPECIMEN_NAME": "Quillfeather/wk0",
    "TUBE NAME": "Ophelia Quillfeather unstained",
    "GUID": "0b5e7c1a-5ace-4f0d-9d2e-55512340987a",
    "EXPORT USER NAME": "HollowaybrookR",
    "EXPERIMENT NAME": "Wintergreenly_visits",
    "VENDOR NOTE 7": "born in Zedelgemshire",
    "#SAMPLE": "Ophelia",
    "FJ_$COMMENT": "ask Dr. Wintergreenly",
}
"""Keyword → value, as instruments and people write them."""

WORDS = (
    b"quillfeather", b"ophelia", b"zebedee", b"hollowaybrook", b"wintergreenly", b"barnabyford",
    b"55512340987", b"1961-03-04", b"0b5e7c1a", b"zedelgemshire",
)  # fmt: skip
"""What no output may hold, in lower case; every planted value holds one of them."""

TEXT_BYTES = 6_000


@dataclass(frozen=True)
class Trial:
    """A study whose FCS files hold planted names, and what every command that was run printed."""

    study: Study
    printed: dict[str, str]

    @property
    def raw(self) -> Path:
        return self.study.path("resources", "demo", "fcs")

    def run(self, *arguments: str) -> None:
        """Run a command; what it prints is kept, whatever its exit code."""
        done = subprocess.run(
            [sys.executable, "-m", "cytotrial", *arguments],
            cwd=self.study.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        self.printed[" ".join(arguments)] = done.stdout + done.stderr


def planted(content: bytes, keywords: Mapping[str, str], *, after_text: str = "") -> bytes:
    """The same events under more keywords, with names in supplemental TEXT, ANALYSIS and at the end.

    `after_text` is put behind the keywords as it stands. A file that was cut in DATA stays cut.
    """
    begin, end, first, last = (int(content[place : place + 8]) for place in (10, 18, 26, 34))
    tokens = content[begin : end + 1].decode().strip("/").split("/")
    own = dict(zip(tokens[::2], tokens[1::2], strict=True))
    extra = text({"DONOR NAME": "Zebedee Quillfeather"}), text({"DIAGNOSIS": "lupus of Ophelia"})
    data = (58 + TEXT_BYTES, 58 + TEXT_BYTES + last - first)
    supplemental = (data[1] + 1, data[1] + len(extra[0]))
    analysis = (supplemental[1] + 1, supplemental[1] + len(extra[1]))
    places = {"DATA": data, "STEXT": supplemental, "ANALYSIS": analysis}
    offsets = {f"${edge}{name}": str(place[k]) for name, place in places.items()
               for k, edge in enumerate(("BEGIN", "END"))}  # fmt: skip
    body = (text({**own, **offsets, **keywords}) + after_text.encode()).ljust(TEXT_BYTES)
    header = "".join(f"{offset:>8}" for offset in (58, 57 + TEXT_BYTES, *data, *analysis))
    events = content[first : last + 1]
    whole = len(events) == last - first + 1
    behind = b"".join([*extra, b"exported for Ophelia by Hollowaybrook"]) if whole else b""
    return b"FCS3.1    " + header.encode() + body + events + behind


def text(pairs: Mapping[str, str]) -> bytes:
    """A TEXT segment; a delimiter inside a value is doubled."""
    return ("/" + "".join(f"{key}/{value.replace('/', '//')}/" for key, value in pairs.items())).encode()


DAMAGED = {
    "a value that ends with the delimiter makes names of values": "NOTE/for Ophelia//PATIENT/Quillfeather/",
    "an undoubled delimiter splits a value": "PATIENT NAME 2/Quillfeather/Ophelia/",
    "keywords given twice with different values": "PATIENT NAME/Zebedee/$OP/Ophelia/",
    "the last value is not closed": "PATIENT NAME 3/Ophelia Quillfeather",
    "a keyword that is itself a name": "OPHELIA QUILLFEATHER",
    "characters that cannot be seen": "$OP2/Ophelia\x07\u202eQuillfeather/",
}
"""What is wrong with a file → how TEXT ends: each kind of damage in a tube of its own."""


@pytest.fixture(scope="module")
def trial(tiny_demo: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Subject S001's tubes and their controls, with names planted, after every command was run."""
    folder = tmp_path_factory.mktemp("planted")
    install_workflow(repository, folder)
    demo = folder / "resources" / "demo"
    (demo / "sheets").mkdir(parents=True)
    for sheet in (tiny_demo / "sheets").iterdir():
        (demo / "sheets" / sheet.name).write_bytes(sheet.read_bytes())
    damages = iter(DAMAGED.values())
    for number, row in enumerate(keep_one_subject(demo / "sheets" / "samples.tsv")):
        content = (tiny_demo / "fcs" / row["fcs"]).read_bytes()
        damage = next(damages, "") if row["role"] == "sample" and row["visit"] not in {"W00", "W06"} else ""
        path = demo / "fcs" / row["fcs"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(planted(content, {**PLANTED, "TUBE ID": f"Ophelia {number}"}, after_text=damage))
    assert next(damages, None) is None
    made = Trial(Study(folder), {})
    done = made.study.snakemake()
    made.printed["snakemake"] = done.stdout + done.stderr
    assert done.returncode == 0, made.printed["snakemake"]
    for command in ("check", "check --json", "summary", "init resources/demo/fcs --output proposed"):
        made.run(*command.split())
    made.run("deidentify", "resources/demo/fcs", "copies")
    return made


def keep_one_subject(sheet: Path) -> list[dict[str, str]]:
    """Leave the tubes of S001 and the controls in the sheet; the rows that have a file."""
    with sheet.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    kept = [row for row in rows if row["subject"] in {"", "S001"}]
    with sheet.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
    return [row for row in kept if row["fcs"]]


def hidden_in(path: Path) -> Iterator[bytes]:
    """What a file's bytes do not show at first sight: base64 (file names too), packed columns."""
    content = path.read_bytes()
    for name in path.parts:
        yield decoded(name.encode())
    for blob in re.findall(rb"base64,([A-Za-z0-9+/=]+)", content):
        yield decoded(blob)
    if path.suffix == ".duckdb":
        for name in read_database(path)[0]:
            yield repr([row for part in rows_of_table(path, name) for row in part]).encode()
    if path.suffix == ".parquet":
        yield str(pq.read_table(path).to_pydict()).encode()
        yield str(pq.read_schema(path).metadata).encode()


def decoded(blob: bytes) -> bytes:
    try:
        return base64.b64decode(blob + b"=" * (-len(blob) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def words_in(content: bytes) -> set[bytes]:
    return {word for word in WORDS if word in content.lower()}


def outputs(folder: Path) -> Iterator[Path]:
    """Every file of the study that is not one of the raw files."""
    raw = folder / "resources" / "demo" / "fcs"
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(raw))


def test_the_raw_files_do_hold_every_planted_name_in_every_place(trial: Trial) -> None:
    content = next(trial.raw.rglob("S001_W00_treg.fcs")).read_bytes()
    assert words_in(content) == set(WORDS)
    assert words_in(content[-40:]) == {b"ophelia", b"hollowaybrook"}
    assert all(words_in(value.encode()) for value in PLANTED.values())


def test_the_trial_ran_to_a_dataset_and_says_by_keyword_that_the_files_may_name_a_person(
    trial: Trial,
) -> None:
    with trial.study.path("results", "check", "inventory.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    telling = [row for row in rows if "IDENTITY_IN_KEYWORDS" in row["code"]]
    assert len(telling) > 60
    assert all("PATIENT NAME" in row["message"] or "and" in row["message"] for row in telling)
    assert {row["status"] for row in telling} <= {"warn", "reject"}
    values = trial.study.path("results", "dataset", "counts.csv").read_text(encoding="utf-8")
    assert len(re.findall(r"S001,W0\d,.*,10\^6/L,[0-9]", values)) >= 4


def test_no_file_that_was_written_holds_a_planted_name(trial: Trial) -> None:
    found: dict[str, set[bytes]] = {}
    n_files = 0
    for path in outputs(trial.study.folder):
        n_files += 1
        words = words_in(path.read_bytes()) | words_in(str(path.relative_to(trial.study.folder)).encode())
        for content in hidden_in(path):
            words |= words_in(content)
        if words:
            found[str(path.relative_to(trial.study.folder))] = words
    assert found == {}
    for part in ("results/report.html", ".snakemake/metadata", ".snakemake/log", "proposed", "copies"):
        assert trial.study.path(part).exists(), part
    assert list(trial.study.folder.rglob("logs/**/*.log"))
    assert n_files > 200


def test_nothing_that_was_printed_holds_a_planted_name(trial: Trial) -> None:
    assert {command for command, said in trial.printed.items() if words_in(said.encode())} == set()
    assert all(trial.printed.values())


def test_the_search_of_the_dataset_itself_finds_no_name_either(trial: Trial) -> None:
    with trial.study.path("results", "dataset", "checks.csv").open(encoding="utf-8", newline="") as stream:
        verdicts = {row["check"]: row["status"] for row in csv.DictReader(stream)}
    assert verdicts["V21"] == "PASS"


def test_the_copies_hold_the_same_events_and_the_damaged_files_are_refused(trial: Trial) -> None:
    copies = {path.relative_to(trial.study.path("copies")): path
              for path in trial.study.path("copies").rglob("*.fcs")}  # fmt: skip
    raw = {path.relative_to(trial.raw): path for path in trial.raw.rglob("*.fcs")}
    assert len(copies) > 60
    for name in raw.keys() - copies.keys():
        assert inspect_fcs(raw[name]).header is None, name
    for name, path in copies.items():
        old, new = inspect_fcs(raw[name]).header, inspect_fcs(path).header
        assert old is not None
        assert new is not None
        assert new.channels == old.channels
        before, after = read_events(raw[name], old).events, read_events(path, new).events
        assert np.array_equal(before.values, after.values), name


def test_a_name_that_a_stray_delimiter_made_a_keyword_is_not_in_the_copy_either(
    tiny_demo: Path, tmp_path: Path
) -> None:
    # `Quillfeather/Ophelia/1961` with single delimiters reads as a value and a keyword OPHELIA.
    stray = "PATIENT NAME/Quillfeather/Ophelia/1961/TUBE NAME/Quillfeather/Ophelia/1962/"
    whole = next((tiny_demo / "fcs").rglob("S001_W00_treg.fcs")).read_bytes()
    (tmp_path / "a.fcs").write_bytes(planted(whole, {}, after_text=stray))
    said = deidentify(tmp_path / "a.fcs", tmp_path / "b.fcs")
    assert words_in((tmp_path / "a.fcs").read_bytes()) > {b"ophelia", b"quillfeather"}
    assert words_in((tmp_path / "b.fcs").read_bytes()) == set()
    assert words_in(said.record.read_bytes()) == set()
