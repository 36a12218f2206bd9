"""SUPPCP: what each result of CP was computed from, down to the hashes of gates and files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cytotrial.dataset_terms import DatasetSpec, Qualifier
from cytotrial.science.cdisc.cp import CpRecord
from cytotrial.science.cdisc.model import Result, Row, TubeTrace, as_row
from cytotrial.science.cdisc.text import LONGEST, ascii_text, in_parts, number_text
from cytotrial.terms import Status

FROM_RESULT = {
    "CPNEVT": "events",
    "CPNPAR": "parent_events",
    "CPNBEAD": "bead_events",
    "CPCVPCT": "cv_percent",
    "CPSYSCV": "systematic_cv_percent",
    "CPLCL": "ci_low",
    "CPUCL": "ci_high",
    "CPLODEV": "lod_events",
    "CPLLQEV": "lloq_events",
    "CPBEADS": "beads_per_tube",
    "CPBLDUL": "blood_ul",
    "CPDILUT": "dilution",
    "CPVOLNL": "volume_nl",
    "CPNLYM": "lymphocyte_events",
    "CPCBCLY": "cbc_lymphocytes_10e9_per_l",
    "CPCBCCV": "cbc_cv_percent",
    "CPPARVL": "parent_value",
    "CPNBKG": "background_events",
    "CPNBKGP": "background_parent_events",
    "CPBKGPC": "background_percent",
    "CPRAWPC": "raw_percent",
}
"""Qualifier → the column of the result that it states."""

QUALITY = {Status.OK.value: "PASS", Status.WARN.value: "WARN", Status.FAIL.value: "FAIL"}


def suppcp_rows(
    records: Iterable[CpRecord],
    *,
    tubes: Mapping[str, TubeTrace],
    definitions: Mapping[str, str],
    qualifiers: Sequence[Qualifier],
    spec: DatasetSpec,
) -> list[Row]:
    """The qualifiers of every record of CP, in its order; a qualifier without a value has no record.

    Parameters
    ----------
    definitions : mapping
        Panel → first 16 digits of the SHA-256 of its gating file.
    qualifiers : sequence of Qualifier
        Names, labels and origins, in the order of the records.
    """
    rows = []
    for record in records:
        values = qualifiers_of(record, tubes=tubes, definitions=definitions)
        for qualifier in qualifiers:
            if text := ascii_text(values.get(qualifier.name, "")):
                rows += [_row(record, qualifier, part, spec) for part in in_parts(qualifier.name, text)]
        rows += _continued(record, spec)
    return rows


def qualifiers_of(
    record: CpRecord, *, tubes: Mapping[str, TubeTrace], definitions: Mapping[str, str]
) -> dict[str, str]:
    """Qualifier → value of one record."""
    result = _background_of(record.result) if record.background else record.result
    named = [tube for tube in record.result["sample_ids"] if not record.background or _is_beside(tube, tubes)]
    numbers = {name: number_text(result.get(column)) for name, column in FROM_RESULT.items()}
    if record.result["value"] is None:
        numbers = dict.fromkeys(FROM_RESULT, "")
    return {
        **numbers,
        "CPQUANT": "" if record.background else str(record.result.get("quantifiable") or ""),
        "CPQCFL": quality_flag(record.result, background=record.background),
        "CPQCRSN": ";".join(_reasons(record)),
        "CPGATVER": record.result["gating_version"],
        "CPGATSHA": ";".join(_definitions(record.result["gating_version"], definitions)),
        "CPGPLSHA": ";".join(tubes[tube].gates_sha or "-" for tube in named if tube in tubes),
        "CPTUBES": ";".join(named),
        "CPFCSSHA": ";".join(tubes[tube].fcs_sha or "-" for tube in named if tube in tubes),
        "CPOVRFL": str(record.result.get("override") or ""),
    }


def _background_of(result: Result) -> dict[str, Any]:
    """The result as the record of the unstimulated tube states it: its own events, no limits."""
    return {
        "events": result["background_events"],
        "parent_events": result["background_parent_events"],
        "lod_events": result.get("lod_events"),
        "lloq_events": result.get("lloq_events"),
    }


def _is_beside(tube: str, tubes: Mapping[str, TubeTrace]) -> bool:
    return tube in tubes and tubes[tube].unstimulated


def quality_flag(result: Result, *, background: bool = False) -> str:
    """PASS, WARN or FAIL; empty where nothing was attempted."""
    if background:
        return "WARN" if _unstimulated_flags(result) else "PASS"
    rejected = any(flag.startswith("TUBE_REJECTED") for flag in result["flags"])
    return "FAIL" if rejected else QUALITY.get(result["status"], "")


def _reasons(record: CpRecord) -> Sequence[str]:
    return _unstimulated_flags(record.result) if record.background else record.result["flags"]


def _unstimulated_flags(result: Result) -> list[str]:
    return [flag for flag in result["flags"] if flag.startswith("UNSTIMULATED_")]


def _definitions(gating_version: str, definitions: Mapping[str, str]) -> list[str]:
    panels = [part.partition(":")[0] for part in gating_version.split(";") if part]
    return [f"{panel}:{definitions[panel]}" for panel in panels if panel in definitions]


def _continued(record: CpRecord, spec: DatasetSpec) -> list[Row]:
    """What does not fit into CPREASND and CPGATDEF themselves."""
    whole = (
        (Qualifier("CPREASND", "Reason Not Done", "COLLECTED", ""), record.reason),
        (Qualifier("CPGATDEF", "Gate Definition", "DERIVED", ""), record.gate_path),
    )
    return [
        _row(record, qualifier, part, spec)
        for qualifier, text in whole
        if len(text) > LONGEST
        for part in list(in_parts(qualifier.name, text))[1:]
    ]


def _row(record: CpRecord, qualifier: Qualifier, part: tuple[str, str], spec: DatasetSpec) -> Row:
    name, text = part
    number = "" if name == qualifier.name else f" {name[len(name.rstrip('0123456789')) :]}"
    return as_row(
        spec,
        {
            "STUDYID": record.row["STUDYID"],
            "RDOMAIN": "CP",
            "USUBJID": record.row["USUBJID"],
            "IDVAR": "CPSEQ",
            "IDVARVAL": str(record.row["CPSEQ"]),
            "QNAM": name,
            "QLABEL": f"{qualifier.label}{number}",
            "QVAL": text,
            "QORIG": qualifier.origin,
        },
    )
