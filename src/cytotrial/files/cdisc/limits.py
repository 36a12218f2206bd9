"""What SAS transport files of version 5 can hold, checked before anything is written.

The library that writes them cuts labels, and writes text that is too long or not ASCII without a word.

References
----------
SAS Institute, TS-140: The record layout of a data set in SAS transport (XPORT) format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cytotrial.dataset_terms import DatasetSpec

LONGEST_LABEL = 40
LONGEST_TEXT = 200
NAME = re.compile(r"[A-Z][A-Z0-9_]{0,7}")


def transport_problems(spec: DatasetSpec, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Every reason why a dataset cannot be a transport file; one sentence each."""
    yield from _name_problems(spec)
    names = [variable.name for variable in spec.variables if variable.is_text]
    texts = {row[name] for row in rows for name in names}
    wrong = {text: problem for text in texts if (problem := _text_problem(text))}
    for number, row in enumerate(rows if wrong else (), start=1):
        for name in names:
            if row[name] in wrong:
                yield f"record {number}, {name} {wrong[row[name]]}"


def _name_problems(spec: DatasetSpec) -> Iterator[str]:
    if not NAME.fullmatch(spec.name):
        yield f"the dataset's name '{spec.name}' is not 1 to 8 capitals and digits"
    if problem := _label_problem(spec.label):
        yield f"the dataset's label {problem}"
    for variable in spec.variables:
        if not NAME.fullmatch(variable.name):
            yield f"the name '{variable.name}' is not 1 to 8 capitals and digits"
        if problem := _label_problem(variable.label):
            yield f"the label of {variable.name} {problem}"


def _label_problem(label: str) -> str:
    if not label.isascii():
        return "is not ASCII"
    return f"has {len(label)} characters, at most 40 are allowed" if len(label) > LONGEST_LABEL else ""


def _text_problem(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        return "holds characters that are not printable ASCII"
    return f"has {len(text)} characters, at most 200 are allowed" if len(text) > LONGEST_TEXT else ""
