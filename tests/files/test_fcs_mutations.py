"""Thousands of damaged copies of good files: none crashes the reader or is accepted with contradictions."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from cytotrial.files.fcs import FcsHeader, escape, examine_fcs, inspect_fcs, read_events
from cytotrial.terms import Outcome
from tests.files.test_fcs import N_EVENTS, fcs_bytes, integers

N_MUTANTS = 1500
MEMORY_PER_BYTE = 40
MEMORY_BASE = 2_000_000
"""Memory that examining a file may take: 2 MB, and 40 bytes for each byte of the file."""

NUMBERS = [
    b"0",
    b"1",
    b"-1",
    b"2",
    b"3",
    b"7",
    b"8",
    b"16",
    b"64",
    b"nan",
    b"1e9",
    b"99999999",
    b"2147483648",
    b" ",
]
WORDS = [
    b"I",
    b"F",
    b"D",
    b"4,3,2,1",
    b"1,2",
    b"4,1",
    b"0,0",
    b"FL1-A",
    b"$P1N",
    b"$TOT",
    b"$P2R",
    b"P3B",
    b"//",
    b"/",
]


def seeds() -> dict[str, bytes]:
    widths = (8, 16, 24, 32)
    rows = [[i, 100 * i, 1000 * i, 10_000 * i] for i in range(N_EVENTS)]
    ranges = {f"$P{n}R": str(2**width) for n, width in enumerate(widths, start=1)}
    matrix = {"$SPILLOVER": "2,FL1-A,FL2-A,1,0.1,0.02,1"}
    return {
        "floats": fcs_bytes(changes={**matrix, "$CYT": "Canto", "$DATE": "01-MAR-2024", "$VOL": "30000"}),
        "integers": fcs_bytes(
            integers(rows, widths), datatype="I", bits=widths, changes=ranges, version="3.0"
        ),
        "doubles": fcs_bytes(datatype="D", version="3.2", changes={"$P2G": "2.0", "$P2S": "CD4"}),
        "logarithmic": fcs_bytes(
            integers([[1, 2, 3, i] for i in range(N_EVENTS)], (16,) * 4),
            datatype="I",
            bits=(16,) * 4,
            version="2.0",
            changes={"$P2E": "4,1", "$BEGINDATA": None, "$ENDDATA": None},
        ),
    }


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One to three changes of the kinds that damage, editing and hostility bring about."""
    for _ in range(rng.randint(1, 3)):
        content = rng.choice((flip, cut, repeat, replace_token, replace_offset, swap_tokens))(content, rng)
    return content


def flip(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content)) if content else 0
    return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]


def cut(content: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(content) + 1)
    end = len(content) if rng.random() < 0.3 else begin + rng.randint(1, 12)
    return content[:begin] + content[end:]


def repeat(content: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(content) + 1)
    return content[:begin] + content[begin : begin + rng.randint(1, 40)] + content[begin:]


def replace_token(content: bytes, rng: random.Random) -> bytes:
    tokens = content.split(b"/")
    tokens[rng.randrange(len(tokens))] = rng.choice(NUMBERS + WORDS)
    return b"/".join(tokens)


def replace_offset(content: bytes, rng: random.Random) -> bytes:
    at = 10 + 8 * rng.randrange(6)
    return content[:at] + rng.choice(NUMBERS)[:8].rjust(8) + content[at + 8 :]


def swap_tokens(content: bytes, rng: random.Random) -> bytes:
    tokens = content.split(b"/")
    i, j = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    tokens[i], tokens[j] = tokens[j], tokens[i]
    return b"/".join(tokens)


def require_consistent(path: Path, header: FcsHeader) -> None:
    """Names, rows, bytes and ranges of an accepted file agree with each other and with its keywords."""
    result = read_events(path, header)
    values = result.events.values
    n_channels = int(header.keyword("$PAR"))
    assert len(set(header.names)) == len(header.columns) == len(values) == n_channels
    assert values.shape[1] + result.n_nonfinite == header.n_events
    assert int(header.keyword("$TOT") or header.n_events) == header.n_events
    assert header.data_bytes == header.n_events * sum(column.bits for column in header.columns) // 8
    assert header.data_begin + header.data_bytes <= path.stat().st_size
    assert np.isfinite(values).all()
    for row, column, name in zip(values, header.columns, header.names, strict=True):
        assert header.keyword(f"$P{header.names.index(name) + 1}N") == escape(name, limit=200)
        if column.datatype == "I" and not column.decades and name.lower() != "time" and column.range:
            assert (row * column.gain <= 2.0 ** min(column.bits, 64) * 1.000001).all()
            assert (row >= 0).all()


@pytest.mark.parametrize("seed_file", seeds())
def test_no_damage_crashes_the_reader_or_gets_contradictions_past_it(tmp_path, seed_file):
    rng = random.Random(f"mutants of {seed_file}")
    original = seeds()[seed_file]
    path = tmp_path / "mutant.fcs"
    outcomes = dict.fromkeys(Outcome, 0)
    for _ in range(N_MUTANTS):
        path.write_bytes(mutate(original, rng))
        report = examine_fcs(path)
        outcomes[report.outcome] += 1
        assert "UNREADABLE" not in [finding.code for finding in report.findings]
        assert "NOT_DECODED" not in [finding.code for finding in report.findings]
        if report.header is not None:
            require_consistent(path, report.header)
    # A test that refuses everything, or nothing, would prove nothing.
    assert outcomes[Outcome.REJECT] > N_MUTANTS / 10
    assert outcomes[Outcome.OK] + outcomes[Outcome.WARN] > N_MUTANTS / 50


@pytest.mark.parametrize("seed_file", seeds())
def test_memory_stays_in_proportion_to_the_file(tmp_path, seed_file):
    rng = random.Random(f"memory of {seed_file}")
    original = seeds()[seed_file]
    path = tmp_path / "mutant.fcs"
    tracemalloc.start()
    for _ in range(200):
        path.write_bytes(mutate(original, rng))
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        examine_fcs(path)
        peak = tracemalloc.get_traced_memory()[1] - before
        assert peak < MEMORY_BASE + MEMORY_PER_BYTE * path.stat().st_size
    tracemalloc.stop()


@pytest.mark.parametrize("text", ["".join(f"K{i}/{i}/" for i in range(90_000)), "NOTE/" + "/" * 390_001])
def test_many_keywords_or_delimiters_take_no_more_memory_than_stated(tmp_path, text):
    path = tmp_path / "long.fcs"
    path.write_bytes(fcs_bytes(more=text))
    tracemalloc.start()
    inspect_fcs(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000 + 10 * path.stat().st_size


def test_eighteen_megabytes_of_delimiters_are_refused_unsplit(tmp_path):
    path = tmp_path / "long.fcs"
    path.write_bytes(fcs_bytes(more="NOTE/" + "/" * 18_000_001))
    report = inspect_fcs(path)
    assert [finding.code for finding in report.findings] == ["TEXT_TOO_LONG"]
