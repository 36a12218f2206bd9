"""The family of errors a user can mend, and the one form their messages take.

A message says where the fault is, what was found, what was expected, and what
to do; all faults of one file come in one message.
"""

from __future__ import annotations

from collections.abc import Iterable


class CytotrialError(Exception):
    """An error that the user can mend; printed without a traceback.

    Parameters
    ----------
    message : str
        Where, what was found, what was expected.
    hint : str
        What to do about it; printed after the message.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConfigError(CytotrialError):
    """The configuration or a sheet is not what the contract asks for."""


class TemplateError(CytotrialError):
    """A gating template, GatingML file or FlowJo workspace cannot be used."""


class FcsError(CytotrialError):
    """An FCS file is refused."""


class CompensationError(CytotrialError):
    """A spillover matrix is missing, unusable, or cannot be estimated."""


class GateError(CytotrialError):
    """A gate cannot be placed or applied on a tube."""


class CountError(CytotrialError):
    """A count or its interval is undefined."""


class DatasetError(CytotrialError):
    """The trial dataset would contradict itself."""


def all_problems(where: str, problems: Iterable[str], *, outcome: str = "nothing was run") -> str:
    """One message for every problem of one file.

    Examples
    --------
    >>> print(all_problems("config/config.yaml", ["study: is missing"]))
    config/config.yaml, 1 problem; nothing was run
      study: is missing
    """
    lines = list(problems)
    noun = "problem" if len(lines) == 1 else "problems"
    return "\n".join([f"{where}, {len(lines)} {noun}; {outcome}", *(f"  {line}" for line in lines)])
