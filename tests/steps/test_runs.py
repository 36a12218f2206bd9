"""What a run asks of Snakemake's scheduler."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.scheduling.job_scheduler import JobRateLimiter
from snakemake.settings.types import MaxJobsPerTimespan

from cytotrial.steps.layout import Layout
from cytotrial.steps.runs import look_only_when_a_job_ends, out_of_room


@pytest.mark.parametrize(("limit", "kept"), [("100/1s", False), ("50/1m", True), ("10/1s", True)])
def test_snakemakes_default_limit_of_jobs_a_second_is_lifted_and_a_users_own_is_kept(limit: str, kept: bool):
    scheduler = SimpleNamespace(job_rate_limiter=JobRateLimiter(MaxJobsPerTimespan.parse_choice(limit)))
    look_only_when_a_job_ends(scheduler)
    assert (scheduler.job_rate_limiter is not None) == kept


def test_a_scheduler_without_a_limit_is_left_as_it_is():
    scheduler = SimpleNamespace(job_rate_limiter=None)
    look_only_when_a_job_ends(scheduler)
    assert scheduler.job_rate_limiter is None


def test_a_run_that_failed_on_a_full_disk_is_told_so_by_the_disk_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    layout = Layout(tmp_path)
    assert out_of_room(layout) == ""
    full = SimpleNamespace(total=2**30, used=2**30 - 3000, free=3000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    assert "No space left on device (2 kB are free)" in out_of_room(layout)
