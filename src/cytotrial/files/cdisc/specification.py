"""The specification table: datasets, variables, qualifiers, parameters and controlled terms, as CSV files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import cast

from cytotrial.dataset_terms import (
    CodeList,
    DatasetSpec,
    ParameterTerms,
    Qualifier,
    Specification,
    ValueKind,
    Variable,
)
from cytotrial.files.tables import read_table

TABLES = Path(__file__).resolve().parents[4] / "resources" / "cdisc"
"""Folder of the specification: resources/cdisc of the checkout."""

TERMINOLOGY = "2025-03-25"
"""Version of the SDTM controlled terminology that terms.csv was copied from."""


@cache
def read_specification(folder: Path = TABLES) -> Specification:
    """The specification of every dataset, in the order in which they are made.

    Parameters
    ----------
    folder : Path
        Holds datasets.csv, variables.csv, supplemental.csv, parameters.csv and terms.csv.
    """
    variables = _variables(folder / "variables.csv")
    datasets = {
        row["dataset"]: DatasetSpec(
            name=row["dataset"],
            folder=row["folder"],
            label=row["label"],
            structure_class=row["class"],
            structure=row["structure"],
            keys=tuple(row["keys"].split()),
            comment=row["comment"],
            variables=tuple(variables[row["dataset"]]),
        )
        for row in read_table(folder / "datasets.csv")
    }
    return Specification(
        datasets=MappingProxyType(datasets),
        qualifiers=tuple(
            Qualifier(row["qualifier"], row["label"], row["origin"], row["derivation"])
            for row in read_table(folder / "supplemental.csv")
        ),
        codelists=MappingProxyType(read_codelists(folder / "terms.csv")),
        parameters=MappingProxyType(_parameters(folder / "parameters.csv")),
    )


def _variables(path: Path) -> dict[str, list[Variable]]:
    by_dataset: dict[str, list[Variable]] = {}
    for row in read_table(path):
        variable = Variable(
            name=row["variable"],
            label=row["label"],
            kind=cast(ValueKind, row["kind"]),
            core=row["core"],
            role=row["role"],
            codelist=row["codelist"],
            origin=row["origin"],
            source=row["source"],
            derivation=row["derivation"],
        )
        by_dataset.setdefault(row["dataset"], []).append(variable)
    return by_dataset


def read_codelists(path: Path) -> dict[str, CodeList]:
    """Code of the codelist → the codelist; a codelist's own row comes before its terms."""
    heads: dict[str, tuple[str, bool]] = {}
    terms: dict[str, dict[str, str]] = {}
    for row in read_table(path):
        if row["code"] == row["codelist"]:
            heads[row["codelist"]] = (row["name"], row["extensible"] == "Y")
            terms[row["codelist"]] = {}
        else:
            terms[row["codelist"]][row["term"]] = row["code"]
    return {
        code: CodeList(code, name, extensible, MappingProxyType(terms[code]))
        for code, (name, extensible) in heads.items()
    }


def _parameters(path: Path) -> dict[str, ParameterTerms]:
    return {
        row["parameter"]: ParameterTerms(
            parameter=row["parameter"],
            test_code=row["test_code"],
            unit=row["unit"],
            result_type=row["result_type"],
            description=row["description"],
            label=row["label"],
            number=int(row["number"]),
            category=row["category"],
            markers=row["markers"],
            parent_markers=row["parent_markers"],
        )
        for row in read_table(path)
    }
