"""XML from elsewhere, read without trust: bounded, without DOCTYPE, entities or network.

Gating comes as XML from other programs and other sites. What a file may not do is decided here, before
any parser that knows its meaning sees it.
"""

from __future__ import annotations

import hashlib
import math
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from cytotrial.errors import TemplateError, all_problems
from cytotrial.terms import ROOT

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_BYTES = 50_000_000
MAX_GATES = 500
MAX_DEPTH = 30
MAX_PROBLEMS = 20
MAX_CONDITION = 1e6
"""Of a matrix that is to be inverted: ratio of its largest to its smallest singular value."""

GATING = "http://www.isac-net.org/std/Gating-ML/v2.0/gating"
TRANSFORMS = "http://www.isac-net.org/std/Gating-ML/v2.0/transformations"
DATA_TYPES = "http://www.isac-net.org/std/Gating-ML/v2.0/datatypes"

Graph = Mapping[str, Sequence[str]]
"""Population → the populations it needs: its parent and, for boolean gates, its operands."""


class TemplateWarning(UserWarning):
    """Something in a gating file that is legal and probably not meant."""


def read_bytes(path: Path) -> bytes:
    """The content of a regular file of at most 50 MB. Raises TemplateError otherwise."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise TemplateError(f"{path}: is not a file.", hint="Name the GatingML file or workspace itself.")
        if status.st_size > MAX_BYTES:
            raise TemplateError(
                f"{path}: has {status.st_size:,} bytes; at most {MAX_BYTES:,} were expected.",
                hint="Save a workspace with the samples of one panel only.",
            )
        return path.read_bytes()
    except OSError as error:
        raise TemplateError(f"{path}: cannot be read: {error.strerror}.", hint="Correct the path.") from None


def content_version(content: bytes) -> str:
    """What a gating file without a version of its own is known by: the beginning of its SHA-256."""
    return f"sha256:{hashlib.sha256(content).hexdigest()[:12]}"


def parse(path: Path, content: bytes) -> _Element:
    """The root element.

    Raises
    ------
    TemplateError
        If it is not well-formed XML, has a DOCTYPE, or is nested deeper than 256 elements.
    """
    from lxml import etree  # noqa: PLC0415

    if content.startswith(b"PK\x03\x04"):
        raise TemplateError(
            f"{path}: is a zip archive, not XML.", hint="Unpack it and name the .wsp or .xml inside."
        )
    if _has_doctype(content):
        raise _doctype_error(path)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        depth = " (elements may be nested 256 deep)" if "depth" in str(error).lower() else ""
        raise TemplateError(
            f"{path}: is not well-formed XML{depth}: {error.msg}.", hint="Export the file again."
        ) from None
    information: Any = root.getroottree().docinfo
    if information.doctype:
        raise _doctype_error(path)
    return root


class _EnoughError(Exception):
    """Raised within the parser once the question is answered."""


def _has_doctype(content: bytes) -> bool:
    """Whether a DOCTYPE comes before the first element, the only place where it may be."""
    found: list[str] = []

    def doctype(name: str, *_: object) -> None:
        found.append(name)
        raise _EnoughError

    def element(*_: object) -> None:
        raise _EnoughError

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = element
    try:
        parser.Parse(content, True)
    except (_EnoughError, expat.ExpatError):
        return bool(found)
    return bool(found)


def _doctype_error(path: Path) -> TemplateError:
    return TemplateError(
        f"{path}: has a DOCTYPE; gating files have none, and it can make a program read other files.",
        hint="Export the gating again, and ask where this file comes from.",
    )


def refuse(path: Path, problems: Iterable[str], *, hint: str = "") -> None:
    """Raise one TemplateError with every problem, if there is one."""
    listed = list(problems)
    if listed:
        more = len(listed) - MAX_PROBLEMS
        shown = [*listed[:MAX_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
        raise TemplateError(all_problems(str(path), shown, outcome="no gate was read"), hint=hint)


def qualified(namespace: str, name: str) -> str:
    return f"{{{namespace}}}{name}"


def local(element: _Element) -> str:
    """An element's name without its namespace; empty for comments."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def escaped(text: str | None) -> str:
    """At most 60 characters of a value, safe to print."""
    return repr(text if text is None or len(text) <= 60 else text[:57] + "...")


def name_problem(name: str | None) -> str:
    """Why a population cannot have this name, or nothing."""
    if not name or not name.strip():
        return "the name is empty"
    if name != name.strip():
        return "the name begins or ends with a blank"
    if name in {".", "..", ROOT}:
        return f"{name!r} has a meaning of its own"
    if "/" in name:
        return "'/' separates a population from its parent and cannot be in a name"
    if name[0] in "=@" or re.search(r"[\x00-\x1f\x7f]|<[A-Za-z/!]", name):
        return "the name looks like a formula or like markup"
    return ""


def numbers_problems(element: _Element, *, names: frozenset[str]) -> Iterator[str]:
    """Attributes of an element that must be finite numbers, and are not."""
    for attribute, text in element.attrib.items():
        name = str(attribute).rpartition("}")[2]
        if name in names and not is_number(str(text)):
            where = f"line {element.sourceline}, {local(element)}"
            yield f"{where}: {name} is {escaped(str(text))}; a number was expected"


def is_number(text: str | None) -> bool:
    try:
        return text is not None and math.isfinite(float(text))
    except ValueError:
        return False


def tree_problems(needs: Graph, *, parents: Mapping[str, str]) -> Iterator[str]:
    """Too many gates, too deep a tree, or populations that need themselves."""
    if len(needs) > MAX_GATES:
        yield f"{len(needs)} gates; at most {MAX_GATES} were expected. Split the file by panel"
        return
    looping = _not_orderable(needs)
    if looping:
        yield (
            f"cyclic: {', '.join(looping[:8])} can only be gated after itself or one another, as parent "
            "(parent_id) or operand (gateReference); remove one reference"
        )
        return
    for name in parents:
        depth, ancestor = 1, parents[name]
        while ancestor in parents:
            depth, ancestor = depth + 1, parents[ancestor]
        if depth == MAX_DEPTH + 1:
            yield f"gate {escaped(name)} has a depth of {depth}; at most {MAX_DEPTH} was expected"


def _not_orderable(needs: Graph) -> list[str]:
    """What is left when everything whose needs are met has been taken away."""
    waiting = dict(needs)
    while ready := [name for name, wanted in waiting.items() if not any(w in waiting for w in wanted)]:
        for name in ready:
            del waiting[name]
    return list(waiting)


def matrix_problem(values: Sequence[Sequence[float]], detectors: Sequence[str]) -> str:
    """Why a spillover matrix cannot be inverted, or nothing."""
    import numpy as np  # noqa: PLC0415

    n = len(detectors)
    if n == 0 or len(set(detectors)) != n or "" in detectors:
        return f"its {n} detectors are not all named and different, or there are none"
    if len(values) != n or any(len(row) != n for row in values):
        return f"{n} rows of {n} coefficients were expected"
    if not np.linalg.cond(np.asarray(values, dtype=np.float64)) < MAX_CONDITION:
        return "it has no usable inverse (singular): two of its rows are alike"
    return ""
