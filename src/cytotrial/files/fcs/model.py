"""What is known about an FCS file before a single event is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cytotrial.terms import Channel, Finding, Outcome, SpilloverMatrix


@dataclass(frozen=True, slots=True)
class Column:
    """How one channel is stored and scaled.

    datatype : `I` (unsigned integer), `F` (single), `D` (double)
    bits : width of one value
    range : $PnR; None where it is missing or unusable (floating point only)
    decades, log_zero : $PnE of a logarithmic integer channel; 0, 0 is linear
    gain : what values are divided by ($PnG; 1 for the time channel and for logarithmic channels)
    """

    datatype: str
    bits: int
    range: float | None
    decades: float = 0.0
    log_zero: float = 0.0
    gain: float = 1.0

    @property
    def mask(self) -> int | None:
        """Bits that count, for an integer: $PnR rounded up to a power of two, less one; None keeps all."""
        if self.datatype != "I" or self.range is None:
            return None
        rounded = 1 << (int(self.range) - 1).bit_length()
        return rounded - 1 if rounded < 1 << self.bits else None


@dataclass(frozen=True, eq=False)
class FcsHeader:
    """HEADER and TEXT of one data set, checked: everything that decoding and gating need.

    It holds no keyword that names a person or a file; `keyword` gives the few others that are of use.

    version : `2.0`, `3.0`, `3.1` or `3.2`
    channels, columns : one each per channel, in file order
    n_events : $TOT, in agreement with the size of DATA
    datatype : $DATATYPE
    byte_order : $BYTEORD as numbers; (1, 2, 3, 4) is little-endian
    data_begin, data_bytes : where DATA starts (byte offset from 0) and how long it is
    time_index : index of the time channel, or None
    timestep : seconds per unit of the time channel, or None if the file does not say
    volume_nl : acquired volume in nanolitres (microlitres are converted), or None
    spillover : the embedded matrix, or None; `spillover_findings` says what is wrong with it
    cytometer, acquired : $CYT, escaped; ISO 8601 date-time from $DATE and $BTIM; empty if unknown
    file_size, text_begin, text_bytes, text_crc32 : by which a later read knows that the file is the same
    """

    version: str
    channels: tuple[Channel, ...]
    columns: tuple[Column, ...]
    n_events: int
    datatype: str
    byte_order: tuple[int, ...]
    data_begin: int
    data_bytes: int
    time_index: int | None
    timestep: float | None
    volume_nl: float | None
    spillover: SpilloverMatrix | None
    spillover_findings: tuple[Finding, ...]
    cytometer: str
    acquired: str
    file_size: int
    text_begin: int
    text_bytes: int
    text_crc32: int
    keywords: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """$PnN of every channel."""
        return tuple(channel.name for channel in self.channels)

    def keyword(self, name: str) -> str:
        """Value of a keyword that identifies nobody, escaped; empty if absent or not on that list.

        Parameters
        ----------
        name : str
            With its `$`, in any case: `$TOT`, `$CYT`, `$DATE`, `$VOL`, `$P3V` ...
        """
        return self.keywords.get(name.upper(), "")


@dataclass(frozen=True)
class FcsReport:
    """What the pre-flight found out about one file.

    file : name of the file, without folders
    header : None if the events cannot be decoded without guessing. A bad spillover matrix
        rejects the file but leaves the header, for panels that bring their own matrix.
    findings : everything that was noticed, in the order of the file
    """

    file: str
    header: FcsHeader | None
    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst outcome among the findings."""
        found = {finding.outcome for finding in self.findings}
        worst = (Outcome.REJECT, Outcome.WARN)
        return next((outcome for outcome in worst if outcome in found), Outcome.OK)
