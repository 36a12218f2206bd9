"""YAML as plain data: text, numbers, true and false, lists and mappings, and nothing else.

What YAML 1.1 and YAML 1.2 read differently (`no`, `0123`, `12:30`, `2024-01-05`, `2e5`) is refused
with the spelling that leaves no doubt, and so is everything that is more than data: tags,
anchors and aliases, merge keys, several documents, and the key that makes a workflow engine
run expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml

from cytotrial.errors import ConfigError, all_problems

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
LARGEST_INTEGER = 2**53
FORBIDDEN_KEY = "__use_yte__"

_QUOTED = {"'", '"', "|", ">"}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_REAL = re.compile(r"[-+]?[0-9]+\.[0-9]*([eE][-+][0-9]+)?|\.[0-9]+([eE][-+][0-9]+)?")
_EMPTY = {"", "~", "null", "Null", "NULL"}
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

_UNSURE = (
    (
        re.compile(r"(?i:yes|no|on|off)"),
        "is a truth value to some readers of YAML and text to others; write true or false, or quote it",
    ),
    (re.compile(r"[-+]?0[0-9_]+"), "is octal to some readers of YAML; quote it, or drop the leading zero"),
    (re.compile(r"[-+]?0[xob][0-9A-Fa-f_]+"), "is not a decimal number; write it in decimals, or quote it"),
    (
        re.compile(r"[-+]?[0-9][0-9_]*_[0-9_.]*"),
        "has underscores; write the number without them, or quote it",
    ),
    (
        re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?"),
        "is a number to base 60 to some readers of YAML; quote it",
    ),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), "is a date to some readers of YAML; quote it"),
    (
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
        "is a number to some readers of YAML and text to others; "
        "write it with a digit, a point and a signed exponent (200000 or 2.0e+5), or quote it",
    ),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), "is not a finite number; write a number"),
    (re.compile(r"<<|="), "has a meaning of its own in some readers of YAML; quote it"),
)
"""Plain scalars that readers of YAML 1.1 and 1.2 do not agree on, or that are no finite number."""


def read_yaml(path: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The mapping that a YAML file holds, as plain data.

    Parameters
    ----------
    path : Path
        A UTF-8 file; a byte order mark is tolerated.
    max_bytes : int
        Larger files are refused.

    Returns
    -------
    dict
        Keys are text; values are text, int, float (finite), bool, None, lists and such mappings.

    Raises
    ------
    ConfigError
        With every problem of the file, each with its line and what to write instead.

    References
    ----------
    YAML 1.2.2, section 10.3 (core schema); YAML 1.1 type repository, for what differs.
    """
    text = _text_of(path, max_bytes=max_bytes)
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except _TooDeepError:
        pass
    except yaml.YAMLError as error:
        builder.problems.append(_syntax_problem(error, text))
    except RecursionError:
        builder.problems.append(f"the nesting is deeper than {MAX_DEPTH} levels; make it flatter")
    problems = [*builder.problems, *_whole_file_problems(builder)]
    if problems:
        raise ConfigError(all_problems(str(path), problems))
    return builder.documents[0]  # type: ignore[no-any-return]


def _text_of(path: Path, *, max_bytes: int) -> str:
    if not path.exists():
        _refuse(path, "the file does not exist; correct its name, or copy it there")
    if not path.is_file():
        _refuse(path, "is not a regular file; name a YAML file")
    try:
        with path.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except OSError as error:
        _refuse(path, f"cannot be read ({error.strerror}); check the file's permissions")
    if len(content) > max_bytes:
        _refuse(
            path,
            f"the file has more than {max_bytes:,} bytes; a configuration is far smaller: check the file",
        )
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        _refuse(path, "the file is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        _refuse(path, f"line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8")


def _refuse(path: Path, problem: str) -> NoReturn:
    raise ConfigError(all_problems(str(path), [problem]))


def _syntax_problem(error: yaml.YAMLError, text: str) -> str:
    """What the parser stumbled over, in words; a tab is named as such."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        position = getattr(error, "position", None)
        place = f"line {text.count(chr(10), 0, position) + 1}: " if isinstance(position, int) else ""
        return f"{place}a character that YAML does not allow (often copied unseen); remove it"
    lines = text.splitlines()
    shown = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in shown[: len(shown) - len(shown.lstrip())]:
        return f"line {mark.line + 1}: a tab stands in the indentation; use blanks"
    said = [getattr(error, "context", None), getattr(error, "problem", None)]
    reason = ", ".join(str(part) for part in said if part)
    return f"line {mark.line + 1}, column {mark.column + 1}: {reason}; check the signs and blanks around it"


def _whole_file_problems(builder: _Builder) -> Iterator[str]:
    """What only shows when the file has been read to its end without a fault."""
    if builder.problems:
        return
    if not builder.documents or builder.documents[0] is None:
        yield "the file is empty; expected a mapping of keys to values"
    elif not isinstance(builder.documents[0], dict):
        kind = "a list" if isinstance(builder.documents[0], list) else "a single value"
        yield f"the file holds {kind}; expected a mapping of keys to values (key: value)"


class _TooDeepError(Exception):
    """Nesting beyond the limit: nothing below it is looked at."""


class _Builder:
    """Plain data from the parser's events, and every problem on the way."""

    def __init__(self) -> None:
        self.documents: list[Any] = []
        self.problems: list[str] = []
        self._open: list[_Node] = []

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._start_document(event)
        elif isinstance(event, yaml.AliasEvent):
            self._report(event, f"the alias *{event.anchor} is not allowed; write the value out")
            self._add(None, event)
        elif isinstance(event, yaml.ScalarEvent):
            self._check_properties(event)
            self._add(self._scalar(event), event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._check_properties(event)
            self._descend(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            node = self._open.pop()
            self._add(node.value, node.start)

    def _start_document(self, event: yaml.DocumentStartEvent) -> None:
        if event.tags:
            self._report(event, "%TAG is not allowed; write plain data")
        if self.documents:
            self._report(event, "a second document begins (---); keep one document per file")

    def _check_properties(self, event: Any) -> None:
        if event.anchor is not None:
            self._report(
                event, f"the anchor &{event.anchor} is not allowed; write the value out where it is needed"
            )
        if event.tag is not None:
            self._report(
                event, f"the tag {event.tag[:60]!r} is not allowed; write plain data (text goes in quotes)"
            )

    def _descend(self, event: Any) -> None:
        if len(self._open) >= MAX_DEPTH:
            self._report(event, f"the nesting is deeper than {MAX_DEPTH} levels; make it flatter")
            raise _TooDeepError
        self._open.append(_Node({} if isinstance(event, yaml.MappingStartEvent) else [], event))

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        if event.style in _QUOTED:
            return event.value
        try:
            return plain_scalar(event.value)
        except ValueError as error:
            self._report(event, str(error))
            return event.value

    def _add(self, value: Any, event: Any) -> None:
        if not self._open:
            self.documents.append(value)
            return
        node = self._open[-1]
        if isinstance(node.value, list):
            node.value.append(value)
        elif node.key is None:
            node.key = self._key(value, event, node.value)
        else:
            node.value[node.key] = value
            node.key = None

    def _key(self, value: Any, event: Any, known: dict[str, Any]) -> str:
        """A mapping's next key; None and everything else that is not text is a problem."""
        if not isinstance(value, str):
            shown = (
                "a list or mapping" if isinstance(value, list | dict) else f"'{getattr(event, 'value', '')}'"
            )
            self._report(event, f"the key {shown} is not text; put it in quotes")
            return f"\x00{len(known)}"
        if value == FORBIDDEN_KEY:
            self._report(event, f"the key {FORBIDDEN_KEY} would run expressions; remove it")
        if value in known:
            self._report(event, f"the key '{value[:60]}' is there twice in one mapping; keep one of them")
        return value

    def _report(self, event: Any, problem: str) -> None:
        self.problems.append(f"line {event.start_mark.line + 1}: {problem}")


class _Node:
    """A mapping or list that is being read; `key` is the key whose value comes next."""

    __slots__ = ("key", "start", "value")

    def __init__(self, value: Any, start: Any) -> None:
        self.value = value
        self.start = start
        self.key: str | None = None


def plain_scalar(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means, if all readers of YAML agree on it.

    Raises
    ------
    ValueError
        If they do not, or if the number is not finite or too large to be exact.

    Examples
    --------
    >>> plain_scalar("12"), plain_scalar("0.5"), plain_scalar("true"), plain_scalar("CD4+"), plain_scalar("~")
    (12, 0.5, True, 'CD4+', None)
    """
    if text in _EMPTY:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if _INTEGER.fullmatch(text):
        return _exact_integer(text)
    if _REAL.fullmatch(text):
        return _finite(text)
    for pattern, remedy in _UNSURE:
        if pattern.fullmatch(text):
            raise ValueError(f"{text[:60]!r} {remedy}")
    return text


def _exact_integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > LARGEST_INTEGER:
        raise ValueError(
            f"the number {text[:60]!r} is too large to be exact; check it, or quote it if it is a name"
        )
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"the number {text[:60]!r} is too large; check it")
    return value
