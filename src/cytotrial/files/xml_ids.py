"""Names of populations as XML ids, and back.

An id of XML begins with a letter and holds no blank, no `+` and no `/`; a population's name may. What an
id cannot hold is written as its Unicode number between `_x` and `_`, as SQL/XML does it, so that a name
comes back as it was: `CD4+` is `CD4_x002B_`.

References
----------
ISO/IEC 9075-14 (SQL/XML), mapping of identifiers to XML names.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"_x([0-9A-F]{4}|[0-9A-F]{8})_")
_PLAIN = re.compile(r"[A-Za-z0-9._-]")
_FIRST = re.compile(r"[A-Za-z_]")
_HIGHEST = 0x10FFFF


def id_of_name(name: str) -> str:
    """The XML id of a population.

    Examples
    --------
    >>> id_of_name("T cells/CD4+"), id_of_name("4-1BB")
    ('T_x0020_cells_x002F_CD4_x002B_', '_x0034_-1BB')
    """
    return "".join(_written(name, place) for place in range(len(name)))


def _written(name: str, place: int) -> str:
    character = name[place]
    allowed = _PLAIN if place else _FIRST
    if allowed.fullmatch(character) and not _ESCAPE.match(name, place):
        return character
    number = ord(character)
    return f"_x{number:04X}_" if number <= 0xFFFF else f"_x{number:08X}_"


def name_of_id(identifier: str) -> str:
    """The population's name; an id of another program comes back as it is.

    Examples
    --------
    >>> name_of_id("CD4_x002B_"), name_of_id("Live_Cells")
    ('CD4+', 'Live_Cells')
    """
    return _ESCAPE.sub(_read, identifier)


def _read(escape: re.Match[str]) -> str:
    number = int(escape[1], 16)
    return chr(number) if number <= _HIGHEST else escape[0]
