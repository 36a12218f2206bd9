"""SUPPCP: what each result was computed from."""

from __future__ import annotations

from typing import Any

from cytotrial.science.cdisc.cp import cp_records
from cytotrial.science.cdisc.suppcp import suppcp_rows
from tests.science.cdisc.rows import SPECIFICATION, SPECS, STUDY, TH17, TREG, TUBES, result, visits_of
from tests.science.cdisc.test_cp import stimulated


def qualifiers(*results: dict[str, Any], tests: Any = None) -> dict[tuple[str, str], str]:
    """(CPSEQ, QNAM) → QVAL."""
    records = cp_records(
        results,
        tests=tests or {"TREGABS": TREG},
        study=STUDY,
        visits=visits_of(*results),
        tubes=TUBES,
        spec=SPECS["CP"],
    )
    rows = suppcp_rows(
        records,
        tubes=TUBES,
        definitions={"treg": "9" * 16, "th17": "8" * 16},
        qualifiers=SPECIFICATION.qualifiers,
        spec=SPECS["SUPPCP"],
    )
    assert all(row["RDOMAIN"] == "CP" and row["IDVAR"] == "CPSEQ" for row in rows)
    return {(row["IDVARVAL"], row["QNAM"]): row["QVAL"] for row in rows}


def test_events_limits_gates_and_files_of_a_result():
    found = qualifiers(result(ci_low=11.8, ci_high=14.2, cv_percent=4.7))
    said = {name: value for (number, name), value in found.items() if number == "1"}
    assert said == {
        "CPNEVT": "507", "CPNPAR": "20000", "CPPARVL": "512", "CPLCL": "11.8", "CPUCL": "14.2",
        "CPCVPCT": "4.7", "CPLODEV": "20", "CPLLQEV": "50", "CPQUANT": "QUANTIFIABLE", "CPQCFL": "PASS",
        "CPGATVER": "treg:1.0.0", "CPGATSHA": f"treg:{'9' * 16}", "CPGPLSHA": "b" * 16, "CPTUBES": "T1",
        "CPFCSSHA": "a" * 16,
    }  # fmt: skip


def test_what_is_missing_has_no_record():
    found = qualifiers(result())
    assert ("1", "CPNBEAD") not in found
    assert ("2", "CPNEVT") not in found


def test_the_unstimulated_record_has_its_own_events_and_its_own_tube():
    found = qualifiers(stimulated(flags=("UNSTIMULATED_FEW_EVENTS", "DRIFT:PE-A")), tests={"TH17PCD4": TH17})
    assert (found["1", "CPNEVT"], found["1", "CPTUBES"], found["1", "CPRAWPC"]) == ("240", "T2;T3", "1.2")
    assert (found["2", "CPNEVT"], found["2", "CPNPAR"], found["2", "CPTUBES"]) == ("17", "20000", "T3")
    assert found["2", "CPQCRSN"] == "UNSTIMULATED_FEW_EVENTS"
    assert ("2", "CPLCL") not in found


def test_a_rejected_tube_failed_its_quality_control_and_keeps_its_files_hash():
    found = qualifiers(result(None, flags=("TUBE_REJECTED:TRUNCATED",)))
    assert (found["1", "CPQCFL"], found["1", "CPFCSSHA"]) == ("FAIL", "a" * 16)
    assert ("1", "CPNEVT") not in found


def test_what_was_never_drawn_has_no_quality():
    assert ("1", "CPQCFL") not in qualifiers(result(None, flags=("NOT_DONE:subject did not attend",)))


def test_reasons_longer_than_200_characters_go_on_in_the_next_qualifier():
    flags = tuple(f"REASON{number:03}" for number in range(40))
    found = qualifiers(result(flags=flags))
    assert found["1", "CPQCRSN"] + found["1", "CPQCRSN1"] == ";".join(flags)
    reason = qualifiers(result(None, flags=("NOT_DONE:" + "x" * 250,)))
    assert reason["1", "CPREASN1"] == "x" * 50
