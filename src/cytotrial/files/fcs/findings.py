"""How the reader says what it noticed: short, escaped, with a remedy, never a byte of the file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cytotrial.terms import Finding, Outcome

SEEN_LIMIT = 60
"""Longest value that a message shows, in characters."""

EXPORT_AGAIN = "Export the file again from the instrument software"
COPY_AGAIN = "Copy the file again from the instrument and compare checksums"


def escape(text: str, *, limit: int = SEEN_LIMIT) -> str:
    r"""The text on one line, control and direction-changing characters spelled out, cut at `limit`.

    Examples
    --------
    >>> escape("CD3\u202e4DC")
    'CD3\\u202e4DC'
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return shown if len(text) <= limit and len(shown) <= limit else shown[: limit - 1] + "…"


@dataclass
class Notes:
    """Collects the findings about one file, in the order in which they were made."""

    findings: list[Finding] = field(default_factory=list)

    def warn(self, code: str, keyword: str, message: str, **details: str) -> None:
        """The file is read, but a person should know this."""
        self._add(Outcome.WARN, code, keyword, message, **details)

    def reject(self, code: str, keyword: str, message: str, **details: str) -> None:
        """The file cannot be read without guessing."""
        self._add(Outcome.REJECT, code, keyword, message, **details)

    @property
    def rejected(self) -> bool:
        return any(finding.outcome is Outcome.REJECT for finding in self.findings)

    def merge_alike(self, begin: int) -> None:
        """One finding per code from position `begin` on: 60 channels without $PnR are one thing to know."""
        groups: dict[str, list[Finding]] = {}
        for finding in self.findings[begin:]:
            groups.setdefault(finding.code, []).append(finding)
        self.findings[begin:] = [
            replace(group[0], message=f"{group[0].message} (and {len(group) - 1} more)")
            if len(group) > 1
            else group[0]
            for group in groups.values()
        ]

    def _add(
        self,
        outcome: Outcome,
        code: str,
        keyword: str,
        message: str,
        *,
        seen: str = "",
        expected: str = "",
        remedy: str = "",
    ) -> None:
        fallback = EXPORT_AGAIN if outcome is Outcome.REJECT else "Check that this is intended"
        self.findings.append(
            Finding(code, outcome, message, escape(keyword), escape(seen), expected, remedy or fallback)
        )


def finding_line(finding: Finding, *, file: str, sample_id: str = "") -> str:
    """One finding as the line that inventories, logs and error messages print.

    Parameters
    ----------
    finding : Finding
    file : str
        Name of the file, without folders.
    sample_id : str
        Id of the tube from the sample sheet; left out where empty.

    Examples
    --------
    >>> found = Finding("TOT_INVALID", Outcome.REJECT, "no number", "$TOT", "2_4", remedy="Export again")
    >>> finding_line(found, file="a.fcs")
    "REJECT TOT_INVALID file=a.fcs keyword=$TOT='2_4': no number. Remedy: Export again."
    """
    parts = [finding.outcome.value.upper(), finding.code]
    if sample_id:
        parts.append(f"sample={sample_id}")
    parts.append(f"file={escape(file, limit=200)}")
    if finding.keyword:
        parts.append(f"keyword={finding.keyword}" + (f"='{finding.seen}'" if finding.seen else ""))
    expected = f", expected {finding.expected}" if finding.expected else ""
    return f"{' '.join(parts)}: {finding.message}{expected}. Remedy: {finding.remedy}."


def some(names: list[str], *, limit: int = 6) -> str:
    """The first few names, and how many more there are.

    Examples
    --------
    >>> some(["$P1N", "$P2N", "$P3N"], limit=2)
    '$P1N, $P2N and 1 more'
    """
    shown = ", ".join(escape(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
