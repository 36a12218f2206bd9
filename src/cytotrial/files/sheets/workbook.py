"""The first worksheet of an XLSX workbook as text, as the spreadsheet shows it."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from openpyxl import load_workbook

from cytotrial.files.sheets.problems import SheetRefusedError

MAX_UNPACKED = 200_000_000
EXACT_DIGITS = 10**15


def workbook_cells(content: bytes, *, max_rows: int, max_columns: int) -> Iterator[tuple[int, Sequence[str]]]:
    """Number and cells of every row of the first worksheet.

    Raises
    ------
    SheetRefusedError
        If the content is no workbook, unpacks to more than a sheet can be, or holds a number
        whose digits the spreadsheet has lost.
    """
    try:
        _check_size(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # styles and extensions that no cell's text depends on
            book = load_workbook(io.BytesIO(content), read_only=True, data_only=False, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # the file's own statement of its size is often wrong
        rows = [
            (number, _padded([_shown_text(cell, number) for cell in row]))
            for number, row in enumerate(
                sheet.iter_rows(max_row=max_rows + 2, max_col=max_columns + 1), start=1
            )
        ]
    except SheetRefusedError:
        raise
    except Exception as error:  # a damaged workbook is a refusal, whatever openpyxl makes of it
        raise SheetRefusedError(
            f"is not a workbook that can be read ({type(error).__name__}); save it as XLSX or CSV UTF-8 again"
        ) from None
    width = max((len(row) for _, row in rows[:1]), default=0)
    return iter([(number, [*row, *[""] * (width - len(row))]) for number, row in rows])


def _check_size(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_UNPACKED:
        raise SheetRefusedError(f"unpacks to {unpacked:,} bytes, which no sheet has; check the file")


def _padded(cells: list[str]) -> list[str]:
    """The cells up to the last one that holds something."""
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _shown_text(cell: Any, row: int) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(value, str(cell.number_format), row)
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date | time | timedelta):
        return value.isoformat() if not isinstance(value, timedelta) else str(value)
    return str(getattr(value, "text", value))


def _number(value: float, number_format: str, row: int) -> str:
    """A number as text; leading zeros that only the format shows are kept."""
    if abs(value) >= EXACT_DIGITS:
        raise SheetRefusedError(
            "a number has more than 15 digits, of which the spreadsheet keeps 15; "
            "format the column as text and enter it again",
            line=row,
        )
    if float(value).is_integer():
        width = len(number_format) if re.fullmatch(r"0+", number_format) else 1
        return f"{int(value):0{width}d}"
    return format(value, ".15g")


def _moment(value: datetime) -> str:
    """ISO 8601; a date without time of day is a date. Spreadsheets keep seconds inexactly."""
    rounded = (value + timedelta(microseconds=500_000)).replace(microsecond=0)
    if (rounded.hour, rounded.minute, rounded.second) == (0, 0, 0):
        return rounded.date().isoformat()
    return rounded.isoformat(timespec="minutes" if rounded.second == 0 else "seconds")
