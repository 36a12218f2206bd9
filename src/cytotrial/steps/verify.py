"""Are the results those that were made, from the files that are there? By content, not by time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytotrial.files import claim, seals
from cytotrial.files.atomic import is_temporary
from cytotrial.files.fingerprints import fingerprints, sha256_of
from cytotrial.files.seals import SealError
from cytotrial.progress import Progress, untold
from cytotrial.steps.layout import ON_REQUEST, Layout
from cytotrial.steps.manifest import inputs_of, read_manifest
from cytotrial.steps.plan import Plan, files_in, make_plan
from cytotrial.steps.software import software

DELETE = "delete"
RESUME = "resume"
RUN = "run"


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the manifest says: what to do about it is `resume`, `run` or `delete`."""

    path: str
    what: str
    remedy: str


def verify(config: Path, *, final: bool = False, progress: Progress = untold) -> tuple[str, bool]:
    """Compare results, raw files, sheets and configuration with the manifest, all read anew.

    Parameters
    ----------
    config : Path
    final : bool
        Also refuse what a final analysis must not rest on: drafts, edited code, files nobody vouched for.
    progress : callable
        Told how many raw files have been read.

    Returns
    -------
    (text, good)
        What to print, and whether there is nothing to say against the results.
    """
    plan = make_plan(config, fresh=True, progress=progress)
    layout = plan.layout
    if at_work := claim.holder(layout.claim):
        return f"{layout.results}: a run is at work there ({at_work}); verify when it has ended.", False
    try:
        manifest = read_manifest(layout)
    except FileNotFoundError:
        manifest = {}
    except (SealError, ValueError) as error:
        return f"{error}", False
    differences = [*_results(layout, manifest), *_inputs(plan, manifest)] if manifest else [_NO_MANIFEST]
    objections = [*_objections(plan, manifest)] if final and manifest else []
    good = not differences and not objections
    return "\n".join(_in_words(plan, manifest, differences, objections)), good


_NO_MANIFEST = Difference("manifest.json", "is missing: no run has ended here", RESUME)


def _results(layout: Layout, manifest: Mapping[str, Any]) -> Iterator[Difference]:
    """Results that were edited, cut, lost, made since, or that the workflow did not make."""
    outputs: Mapping[str, Mapping[str, Any]] = manifest["outputs"]
    there = {str(path): path for path in _visible(layout)}
    digests = fingerprints(there.values(), cache=layout.seen, fresh=True)
    for name, entry in sorted(outputs.items()):
        if name not in there:
            yield Difference(name, "is missing", RESUME)
        elif digests.get(name) != entry["sha256"]:
            yield Difference(name, _changed(there[name], digests.get(name, ""), entry["bytes"]), RESUME)
    for name, path in sorted(there.items()):
        if name not in outputs and path != layout.manifest:
            yield Difference(name, _foreign(path), DELETE)


def _changed(path: Path, sha256: str, n_bytes: int) -> str:
    """How a result differs from the one that the manifest lists."""
    if sha256 and seals.sealed_sha256(path) == sha256:
        return "was made after the manifest: the run that made it has not ended"
    size = path.stat().st_size
    return f"was cut: {size:,} of {n_bytes:,} bytes are left" if size < n_bytes else "was edited"


def _foreign(path: Path) -> str:
    if is_temporary(path):
        return "is a half of a file that a killed job left"
    if seals.sealed_sha256(path):
        return "was made by an earlier run; nothing in the sheets asks for it any more"
    return "was not made by the workflow"


def _visible(layout: Layout) -> Iterator[Path]:
    """Every file of the results folder but logs, exports, and the workflow's own notes."""
    for path in layout.results.rglob("*"):
        parts = path.relative_to(layout.results).parts
        noted = any(part.startswith(".") for part in parts) and not is_temporary(path)
        if not noted and parts[0] not in {"logs", *ON_REQUEST} and path.is_file():
            yield path


def _inputs(plan: Plan, manifest: Mapping[str, Any]) -> Iterator[Difference]:
    """Raw files, sheets, gatings and configuration that are others than those of the run."""
    then: Mapping[str, Mapping[str, Any]] = manifest["inputs"]
    now = inputs_of(plan)
    for name in sorted({*then, *now}):
        if name not in now:
            yield Difference(name, "is missing; it went into the results", RUN)
        elif name not in then:
            yield Difference(name, "is new; it did not go into the results", RUN)
        elif then[name] != now[name]:
            yield Difference(name, "was changed since; the results rest on what it held before", RUN)


def _objections(plan: Plan, manifest: Mapping[str, Any]) -> Iterator[str]:
    """What speaks against a final analysis on these results."""
    yield from drafts(plan)
    run = manifest["run"]
    if not run["commit"]:
        yield "the run's working folder was no git checkout: nobody can say which workflow made the results"
    elif run["dirty"]:
        yield f"the working folder differed from commit {run['commit'][:12]} when the results were made"
    if manifest["software"] != software():
        yield "the results were made by other software than is installed now"
    unpinned = [tube.sample_id for tube in plan.trial.tubes if tube.status == "DONE" and not tube.sha256]
    if unpinned:
        some = ", ".join(unpinned[:5]) + (f" and {len(unpinned) - 5} more" if len(unpinned) > 5 else "")
        yield (
            f"{len(unpinned)} tubes have no sha256 in the sheet, so nobody vouched for their files: {some}; "
            f"copy it from fcs_sha256 in {plan.layout.inventory} once the files are known to be right"
        )


def drafts(plan: Plan) -> Iterator[str]:
    """Files that decide where gates lie and are not approved, or were edited after they were."""
    settings = plan.trial.settings
    beside = {"sheets", "fcs_dir", "results", "report", "approved"}
    for path in files_in(settings.model_dump(mode="json", exclude=beside)):
        now, then = sha256_of(path), settings.approved.get(str(path), "")
        if not then:
            yield f"{path} is a draft: approve it by the line '{path}: {now}' under approved"
        elif then != now:
            yield f"{path} was edited after it was approved ({then[:12]}, now {now[:12]})"


def _in_words(
    plan: Plan, manifest: Mapping[str, Any], differences: list[Difference], objections: list[str]
) -> Iterator[str]:
    for difference in differences:
        yield f"{difference.path}: {difference.what}"
    yield from (f"not final: {objection}" for objection in objections)
    yield from _what_to_do(plan, {difference.remedy for difference in differences}, differences)
    if manifest and not differences:
        n_results, n_inputs, run = len(manifest["outputs"]), len(manifest["inputs"]), manifest["run"]["run"]
        yield f"{n_results} results and {n_inputs} files they rest on are as they were when run {run} ended"
        yield f"SHA-256 of the manifest: {sha256_of(plan.layout.manifest)}"


def _what_to_do(plan: Plan, remedies: set[str], differences: list[Difference]) -> Iterator[str]:
    """The exact commands."""
    config = plan.trial.config
    default = config == Path("config/config.yaml")
    if RESUME in remedies:
        yield "to make them again: cytotrial resume" + ("" if default else f" --config {config}")
    elif RUN in remedies:
        yield "to bring the results up to date: snakemake" + ("" if default else f" --configfile {config}")
    if DELETE in remedies:
        named = " ".join(difference.path for difference in differences if difference.remedy == DELETE)
        yield f"to clear away what does not belong there: rm {named}"
