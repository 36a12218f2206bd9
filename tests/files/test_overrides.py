"""Overrides as data: rows, chain, joining exports, and what makes one stale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cytotrial.errors import ConfigError
from cytotrial.files.overrides import (
    HEADER,
    Override,
    applicable,
    basis_digest,
    blinded_id,
    digest_of_text,
    entry_digests,
    joined,
    last_digest,
    read_overrides,
    unblinded,
    write_overrides,
)
from cytotrial.files.strategy import gate_to_json
from cytotrial.terms import (
    BooleanGate,
    Dimension,
    Find,
    Gate,
    GatingStrategy,
    PlacedGate,
    PolygonGate,
    Population,
    RectangleGate,
)


def threshold(channel: str, low: float) -> RectangleGate:
    return RectangleGate((Dimension(channel),), (low,), (None,))


AUTOMATIC = {
    "T cells": threshold("CD3", 0.5),
    "CD25+": threshold("CD25", 0.5),
    "FOXP3+": threshold("FOXP3", 0.5),
    "Treg": BooleanGate("and", (("CD25+", False), ("FOXP3+", False))),
}
PARENTS = {"T cells": "root", "CD25+": "T cells", "FOXP3+": "T cells", "Treg": "T cells"}
ENTRIES = {name: f"entry of {name}" for name in AUTOMATIC}
FILE = "ab" * 32


def placed(**changed: Gate) -> tuple[PlacedGate, ...]:
    gates = {**AUTOMATIC, **{name.replace("_", " "): gate for name, gate in changed.items()}}
    return tuple(PlacedGate(name, PARENTS[name], gate) for name, gate in gates.items())


def override(population: str = "CD25+", new: Gate | None = None, **changes: str) -> Override:
    """A valid row that moves CD25+ from 0.5 to 0.75, or as asked for; not chained yet."""
    new_gate = gate_to_json(new) if new else ""
    old = gate_to_json(AUTOMATIC[population])
    above = {
        "CD25+": ["T cells"],
        "Treg": ["T cells", "CD25+", "FOXP3+"],
        "T cells": [],
        "FOXP3+": ["T cells"],
    }
    texts = {name: gate_to_json(AUTOMATIC[name]) for name in above[population]}
    row = Override(
        override_id="R1",
        utc="2026-01-01T00:00:00Z",
        made_by="Ada",
        reviewed_by="",
        reviewed_utc="",
        sample_id="T1",
        population=population,
        action="move" if new else "exclude",
        old_gate=old,
        new_gate=new_gate,
        old_sha=basis_digest(population, old, fcs_sha256=FILE, entries=ENTRIES, above=texts),
        new_sha=digest_of_text(new_gate) if new_gate else "",
        reason_code="TOO_LOW",
        reason_text="cuts into the negative cells",
        blinded_to_arm="N",
        template="treg:1.0.0",
        prev_row_sha256="0" * 64,
    )
    return replace(row, **changes)


def chained(*rows: Override, after: str = "") -> tuple[Override, ...]:
    """The rows with ids and digests, as the review page writes them."""
    done: list[Override] = []
    for number, row in enumerate(rows, start=1):
        before = last_digest(done) if done or not after else after
        done.append(replace(row, override_id=f"{row.override_id}.{number}", prev_row_sha256=before))
    return tuple(done)


MOVED = override(new=threshold("CD25", 0.75))
REJECTED = override("Treg", reason_code="STAINING", reason_text="no stain in this tube")


def refused(path: Path, *rows: Override) -> str:
    path.write_text("\n".join([HEADER, *(row.line for row in rows)]) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_overrides(path)
    return str(error.value)


def test_what_is_written_is_read_back(tmp_path: Path):
    rows = chained(MOVED, REJECTED)
    write_overrides(tmp_path / "o.tsv", rows)
    assert read_overrides(tmp_path / "o.tsv") == rows
    assert rows[0].gate() == threshold("CD25", 0.75)


def test_line_ends_of_windows_and_a_byte_order_mark_change_no_row(tmp_path: Path):
    rows = chained(MOVED, REJECTED)
    text = "\r\n".join([HEADER, *(row.line for row in rows)]) + "\r\n"
    (tmp_path / "o.tsv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_overrides(tmp_path / "o.tsv") == rows


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        ({"utc": "2026-01-01 08:00"}, "utc", "is not a time in UTC"),
        ({"utc": "2026-02-30T00:00:00Z"}, "utc", "does not exist"),
        ({"made_by": ""}, "made_by", "is empty"),
        ({"made_by": "=1+1"}, "made_by", "is not a name"),
        ({"action": "moved"}, "action", 'did you mean "move"?'),
        ({"reason_text": "too low"}, "reason_text", "has 7 characters; at least 10"),
        ({"reason_text": "@SUM(1)*cmd|calc"}, "reason_text", "as a formula of a spreadsheet does"),
        ({"reason_code": "AGREE"}, "reason_code", "AGREE is the reason of accept"),
        ({"reason_code": "TO_LOW"}, "reason_code", 'did you mean "TOO_LOW"?'),
        ({"reviewed_by": "ada", "reviewed_utc": "2026-01-02T00:00:00Z"}, "reviewed_by", "another person"),
        ({"reviewed_by": "Eve"}, "reviewed_by", "given together or not at all"),
        ({"reviewed_by": "Eve", "reviewed_utc": "2025-12-31T00:00:00Z"}, "reviewed_utc", "is before"),
        ({"old_gate": "{}"}, "old_gate", "not a gate"),
        ({"old_gate": ""}, "old_gate", "is empty"),
        ({"new_sha": "0" * 64}, "new_sha", "is not the SHA-256 of new_gate"),
        ({"old_sha": "12"}, "old_sha", "is not a SHA-256"),
        ({"blinded_to_arm": "yes"}, "blinded_to_arm", "is not one of Y, N"),
        ({"template": "1.0.0"}, "template", "is not panel:version"),
        ({"sample_id": "../T1"}, "sample_id", "is not an id"),
        ({"action": "exclude"}, "new_gate", "must be empty"),
        ({"action": "replace"}, "new_gate", "that is action move"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_with_its_column(
    tmp_path: Path, change: dict[str, str], column: str, message: str
):
    told = refused(tmp_path / "o.tsv", *chained(replace(MOVED, **change)))
    assert f"line 2, column {column}: " in told
    assert message in told


def test_a_gate_of_another_kind_is_a_replacement_and_the_same_gate_is_none(tmp_path: Path):
    square = PolygonGate((Dimension("CD25"), Dimension("SSC-A")), ((0, 0), (1, 0), (1, 1)))
    assert "that is action replace" in refused(tmp_path / "o.tsv", *chained(override(new=square)))
    write_overrides(tmp_path / "o.tsv", chained(override(new=square, action="replace")))
    same = override(new=threshold("CD25", 0.5))
    assert "is the automatic gate itself" in refused(tmp_path / "o.tsv", *chained(same))


def test_every_problem_of_the_file_is_told_at_once(tmp_path: Path):
    told = refused(tmp_path / "o.tsv", *chained(replace(MOVED, made_by=""), replace(REJECTED, utc="now")))
    assert "2 problems; no override is applied" in told
    assert "line 2, column made_by" in told
    assert "line 3, column utc" in told


@pytest.mark.parametrize(
    "tamper",
    [
        lambda rows: [replace(rows[0], reason_text="another reason given"), *rows[1:]],
        lambda rows: [rows[0], rows[2]],
        lambda rows: [rows[0], rows[0], *rows[1:]],
        lambda rows: [rows[1], rows[0], rows[2]],
        lambda rows: rows[1:],
    ],
    ids=["changed", "removed", "repeated", "swapped", "first row removed"],
)
def test_a_row_changed_removed_or_slipped_in_breaks_the_chain(
    tmp_path: Path, tamper: Callable[[list[Override]], list[Override]]
):
    rows = list(chained(MOVED, REJECTED, override("T cells")))
    assert "a row was changed, removed or slipped in" in refused(tmp_path / "o.tsv", *tamper(rows))


@pytest.mark.parametrize("text", ["", "override_id\tutc\n", "a,b\n"])
def test_another_header_is_refused(tmp_path: Path, text: str):
    (tmp_path / "o.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1: is not the header"):
        read_overrides(tmp_path / "o.tsv")


def test_a_row_with_a_cell_too_many_is_refused_with_its_line(tmp_path: Path):
    (tmp_path / "o.tsv").write_text(f"{HEADER}\n{chained(MOVED)[0].line}\tmore\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2: 18 cells, the header has 17"):
        read_overrides(tmp_path / "o.tsv")


def test_an_export_is_appended_once_however_often_it_is_added():
    existing = chained(MOVED)
    exported = chained(REJECTED, after=last_digest(existing))
    whole = joined(existing, exported)
    assert whole == (*existing, *exported)
    assert joined(whole, exported) == whole
    more = (*exported, replace(override("T cells"), prev_row_sha256=last_digest(exported)))
    assert joined(whole, more) == (*existing, *more)


def test_an_export_from_an_empty_file_begins_the_file():
    assert joined((), chained(MOVED)) == chained(MOVED)


def test_an_export_that_another_persons_rows_have_overtaken_is_refused():
    existing = chained(MOVED)
    mine = chained(REJECTED, after=last_digest(existing))
    theirs = chained(override("T cells"), after=last_digest(existing))
    with pytest.raises(ConfigError, match="continues another state of the file: 2 rows"):
        joined((*existing, *theirs), mine)


# Whether an override still stands


def standing(*rows: Override, gates: tuple[PlacedGate, ...] = placed(), **changes: object):
    return applicable(rows, gates, **{"fcs_sha256": FILE, "entries": ENTRIES, **changes})


def test_an_override_on_what_it_was_made_on_replaces_its_gate_and_no_other():
    found = standing(MOVED)
    assert dict(found.gates) == {"CD25+": threshold("CD25", 0.75)}
    assert found.stale == ()


def test_the_last_row_of_a_gate_decides():
    back = override("CD25+", action="accept", reason_code="AGREE", reason_text="")
    assert standing(MOVED, back).gates == {}
    assert standing(MOVED, back).accepted["CD25+"] == back
    assert standing(back, MOVED).gates == {"CD25+": threshold("CD25", 0.75)}


def test_an_excluded_population_is_told_with_its_override():
    assert standing(REJECTED).excluded == {"Treg": REJECTED}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fcs_sha256": "cd" * 32}, "the tube's file, the template's entry"),
        ({"entries": {**ENTRIES, "CD25+": "another finder"}}, "the tube's file, the template's entry"),
        ({"entries": {**ENTRIES, "T cells": "another finder"}}, "the tube's file, the template's entry"),
        ({"gates": placed(T_cells=threshold("CD3", 0.4))}, "or a gate above it has changed"),
        ({"gates": placed(**{"CD25+": threshold("CD25", 0.6)})}, "the automatic gate has another place"),
        ({"gates": placed()[:1]}, "has no automatic gate in this tube any more"),
    ],
    ids=["file", "entry", "entry above", "gate above", "automatic gate", "no gate"],
)
def test_an_override_is_stale_when_what_it_rests_on_has_changed(changes: dict[str, object], reason: str):
    found = standing(MOVED, **changes)
    assert found.gates == {}
    assert [reason in str(stale) for stale in found.stale] == [True]
    assert "override R1 (tube T1, CD25+)" in str(found.stale[0])


@pytest.mark.parametrize(
    "changes", [{"entries": {**ENTRIES, "FOXP3+": "x"}}, {"gates": placed(Treg=MOVED.gate())}]
)
def test_what_lies_beside_or_below_a_gate_makes_its_override_not_stale(changes: dict[str, object]):
    assert standing(MOVED, **changes).stale == ()


def test_an_override_made_under_a_moved_gate_stands_only_with_it():
    upper = override("T cells", new=threshold("CD3", 0.4))
    text = gate_to_json(AUTOMATIC["CD25+"])
    digest = basis_digest("CD25+", text, fcs_sha256=FILE, entries=ENTRIES, above={"T cells": upper.new_gate})
    lower = replace(MOVED, old_sha=digest)
    assert set(standing(upper, lower).gates) == {"T cells", "CD25+"}
    assert [stale.override for stale in standing(lower).stale] == [lower]


def test_an_override_that_rests_on_a_stale_one_is_stale_too():
    upper = override("T cells", new=threshold("CD3", 0.4), old_sha="0" * 64)
    text = gate_to_json(AUTOMATIC["CD25+"])
    digest = basis_digest("CD25+", text, fcs_sha256=FILE, entries=ENTRIES, above={"T cells": upper.new_gate})
    found = standing(upper, replace(MOVED, old_sha=digest))
    assert [stale.override.population for stale in found.stale] == ["T cells", "CD25+"]


def test_an_and_rests_on_the_gates_that_it_joins():
    assert [s.override for s in standing(MOVED, REJECTED).stale] == [REJECTED]


def test_a_finders_argument_is_part_of_a_templates_entry_and_the_version_is_not():
    def strategy(version: str, fraction: float) -> GatingStrategy:
        find = Find("landmark_fraction", (Dimension("CD25"),), {"fraction": fraction})
        return GatingStrategy("t", version, "x", (Population("CD25+", "root", find=find),))

    assert entry_digests(strategy("1", 0.5)) == entry_digests(strategy("2", 0.5))
    assert entry_digests(strategy("1", 0.5)) != entry_digests(strategy("1", 0.6))


def test_rows_of_a_blinded_page_find_their_tube_again_and_only_in_their_study():
    row = replace(MOVED, sample_id=blinded_id("STUDY", "T1"))
    assert "T1" not in row.sample_id
    assert unblinded([row, REJECTED], ["T1", "T2"], study="STUDY") == {"T1": [row, REJECTED]}
    assert list(unblinded([row], ["T1"], study="OTHER")) == [row.sample_id]
