"""Snakemake's output on a terminal: one bar with rate and time left, what goes wrong above it, a last line.

Snakemake finds this module by its name; `logger: [cytotrial]` in the profile switches it on. Where nobody
watches (no terminal, `--quiet`, a dry run) or somebody wants to see more (`--verbose`, `--printshellcmds`),
it writes what Snakemake writes without it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn
from rich.text import Text
from snakemake.logging import ColorizingTextHandler, DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

__all__ = ["LogHandler"]

TOLD = ("Nothing to be done", "Complete log")
"""How the messages begin that are shown though nothing is wrong."""


class LogHandler(LogHandlerBase):
    """What Snakemake logs, as a bar on a terminal, as plain text elsewhere."""

    def __post_init__(self) -> None:
        settings = self.common_settings
        stream = sys.stdout if settings.stdout else sys.stderr
        self.plain = ColorizingTextHandler(nocolor=settings.nocolor, stream=stream)
        self.plain.setFormatter(DefaultFormatter(settings.quiet, settings.show_failed_logs))
        self.bar = Bar(Console(file=stream)) if _is_watched(stream, settings) else None

    def emit(self, record: logging.LogRecord) -> None:
        if self.bar is None:
            self.plain.emit(record)
            return
        self.bar.follow(record)
        if _is_told(record):
            self.bar.aside(lambda: self.plain.emit(record))

    def close(self) -> None:
        if self.bar is not None:
            self.bar.end()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        return True

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return False

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False


def _is_watched(stream: TextIO, settings: Any) -> bool:
    """Whether a person looks on, and asked for neither more nor less."""
    asked = (settings.quiet, settings.dryrun, settings.verbose, settings.printshellcmds, settings.debug_dag)
    return stream.isatty() and os.environ.get("TERM") != "dumb" and not any(asked)


def _is_told(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or str(record.msg).startswith(TOLD)


class Bar:
    """Jobs done of all jobs, the rate, the time left; at the end what ran and what became of the tubes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.config = Path("config/config.yaml")
        self.began = time.monotonic()
        self.progress: Progress | None = None
        self.done = self.total = 0

    def follow(self, record: logging.LogRecord) -> None:
        """Take from a record what it tells about the run."""
        event = getattr(record, "event", None)
        if event == LogEvent.WORKFLOW_STARTED:
            files = getattr(record, "configfiles", None) or ()
            self.config = Path(str(files[-1])) if files else self.config
        elif event == LogEvent.RUN_INFO:
            self._show(0, int(getattr(record, "stats", {}).get("total", 0)))
        elif event == LogEvent.PROGRESS:
            self._show(record.__dict__["done"], record.__dict__["total"])

    def _show(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        if not total:
            return
        if self.progress is None:
            self.began = time.monotonic()
            self.progress = Progress(
                TextColumn("jobs"),
                BarColumn(),
                MofNCompleteColumn(),
                Pace(self.began),
                console=self.console,
                transient=True,
            )
            self.progress.add_task("jobs", total=total)
            self.progress.start()
        self.progress.update(self.progress.task_ids[0], completed=done, total=total)

    def aside(self, write: Any) -> None:
        """Let something be written above the bar."""
        if self.progress is None:
            write()
            return
        self.progress.stop()
        write()
        self.progress.start()

    def end(self) -> None:
        """Take the bar away; say how many jobs ran, how long they took, and what became of the tubes."""
        if self.progress is None:
            return
        self.progress.stop()
        self.progress = None
        seconds = time.monotonic() - self.began
        pace = f", {60 * self.done / seconds:.0f} per minute" if seconds >= 1 else ""
        self._say(f"{self.done} of {self.total} jobs in {duration(seconds)}{pace}")
        if self.done == self.total:
            for line in tubes_of(self.config):
                self._say(line)

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False)


class Pace(ProgressColumn):
    """Jobs per minute since the first began, and the time left at that rate."""

    def __init__(self, began: float) -> None:
        super().__init__()
        self.began = began

    def render(self, task: Any) -> Text:
        return Text(pace_in_words(int(task.completed), int(task.total or 0), time.monotonic() - self.began))


def pace_in_words(done: int, total: int, seconds: float) -> str:
    """The mean rate and the time left.

    Examples
    --------
    >>> pace_in_words(30, 120, 60.0), pace_in_words(0, 120, 5.0)
    ('30 per minute, about 3:00 left', 'running for 0:05')
    """
    if not done or seconds <= 0:
        return f"running for {duration(seconds)}"
    left = (total - done) * seconds / done
    return f"{60 * done / seconds:.0f} per minute, about {duration(left)} left"


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours, minutes and seconds.

    Examples
    --------
    >>> duration(5.2), duration(754), duration(3725)
    ('0:05', '12:34', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def tubes_of(config: Path) -> list[str]:
    """What became of a study's tubes, as `cytotrial summary` tells it; nothing where that is not known."""
    from cytotrial.errors import CytotrialError  # noqa: PLC0415 (only a watched run pays for it)
    from cytotrial.files.tables import read_table  # noqa: PLC0415
    from cytotrial.steps.check import tubes_in_words  # noqa: PLC0415
    from cytotrial.steps.layout import Layout  # noqa: PLC0415
    from cytotrial.steps.trial import load_trial  # noqa: PLC0415

    try:
        layout = Layout(Path(load_trial(config).settings.results))
        counted = Counter(row["status"] for row in read_table(layout.inventory))
        return [tubes_in_words(counted), *([f"report   {layout.report}"] if layout.report.is_file() else [])]
    except (CytotrialError, OSError):
        return []
