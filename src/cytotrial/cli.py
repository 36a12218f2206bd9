"""Arguments and help; every command calls one step.

Errors that a user can mend are printed without a traceback and end with exit code 1;
exit code 2 says that the work is done and rows of the sheet were rejected.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cytotrial import __version__
from cytotrial.errors import ConfigError, CytotrialError
from cytotrial.progress import Progress, untold

if TYPE_CHECKING:
    from cytotrial.steps.plan import Plan

DEFAULT_CONFIG = Path("config/config.yaml")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_CONFIG,
    envvar="CYTOTRIAL_CONFIG",
    show_default=True,
    help="Configuration of the study; the workflow names it by CYTOTRIAL_CONFIG.",
)
panel_option = click.option("--panel", required=True, help="Panel, as named in the configuration.")
batch_option = click.option("--batch", required=True, help="Batch, as named in the sample sheet.")
unit_option = click.option("--unit", required=True, help="Unit of work, such as subject.S001 or batch.B01.")


@contextmanager
def _bar(label: str) -> Iterator[Progress]:
    """A bar on the terminal's error stream while something is at work; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield untold
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def advance(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield advance


def _plan(config: Path) -> Plan:
    """The plan of the study; a job of a run refuses one that was edited since the run began."""
    from cytotrial.files.claim import refuse_if_overtaken
    from cytotrial.steps.kept import kept_plan
    from cytotrial.steps.plan import make_plan

    refuse_if_overtaken()
    if kept := kept_plan(config):
        return kept
    plan = make_plan(config)
    if plan.study_digest != os.environ.get("CYTOTRIAL_STUDY", plan.study_digest):
        raise ConfigError(
            f"{config} or one of its sheets was edited while the run was going on.",
            hint="Run snakemake again: what was made from the earlier state is made anew where it differs.",
        )
    return plan


def _plan_with(config: Path, *, unit: str) -> Plan:
    """The plan of the study, which has such a unit of work."""
    plan = _plan(config)
    if unit not in plan.units:
        known = ", ".join(list(plan.units)[:5])
        raise ConfigError(f"there is no unit '{unit}'; there are {len(plan.units)}, such as {known}.")
    return plan


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="cytotrial")
def cli() -> None:
    """From a folder of flow-cytometry files to a trial dataset.

    `snakemake` runs everything; these commands hold the rest, and the single steps.

    \b
    Example:
      cytotrial demo my-trial
      snakemake --configfile my-trial/config.yaml
    """


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--subjects", default=12, show_default=True, type=click.IntRange(1, 899), help="Subjects of the cohort."
)
@click.option(
    "--events",
    default=40_000,
    show_default=True,
    type=click.IntRange(500, 2_000_000),
    help="Events of a sample tube.",
)
@click.option("--seed", default=20170, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--shift",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 3),
    help="How far batches lie apart, as a factor on the usual.",
)
@click.option("--labels", is_flag=True, help="Also write each event's true population to truth/labels/.")
@click.option("--expert", is_flag=True, help="Also write a simulated expert's gates to expert/ (GatingML).")
def demo(
    folder: Path, *, subjects: int, events: int, seed: int, shift: float, labels: bool, expert: bool
) -> None:
    """Write a simulated trial: FCS files, sheets, a config.yaml, and the truth beside them.

    \b
    Example:
      cytotrial demo resources/demo
    """
    from cytotrial.demo import write_demo
    from cytotrial.steps.example import write_configuration

    choices: dict[str, Any] = {"subjects": subjects, "events": events, "seed": seed, "shift": shift}
    with _bar("writing tubes") as progress:
        made = write_demo(folder, **choices, labels=labels, expert=expert, progress=progress)
    click.echo(f"{made.subjects} subjects, {made.tubes} tubes, {made.n_bytes / 1e6:.0f} MB in {folder}")
    if config := write_configuration(folder):
        click.echo(f"run it: snakemake --configfile {config}")


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder of the sheets and the configuration; nothing in it is overwritten.",
)
@click.option(
    "--pattern",
    help="Regular expression on the path below FOLDER, with named groups out of subject, visit, panel, role, "
    "batch, control_for, sample_id.",
)
def init(folder: Path, output: Path, pattern: str | None) -> None:
    """Propose sheets and a configuration for a folder of FCS files, and say what is undecided.

    \b
    Example:
      cytotrial init raw --output my-study --pattern '(?P<subject>S\\d+)_(?P<visit>W\\d+)'
    """
    from cytotrial.steps.propose import propose_study

    with _bar("reading headers") as progress:
        proposal = propose_study(folder, pattern=pattern, output=output, progress=progress)
    click.echo(proposal.in_words())


@cli.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("target", type=click.Path(path_type=Path))
def deidentify(source: Path, target: Path) -> None:
    """Copy FCS files with what may name a person overwritten; offsets and events stay as they are.

    \b
    Example:
      cytotrial deidentify raw raw-deidentified
    """
    from cytotrial.steps.deidentify import deidentify as step

    click.echo(step(source, target).in_words())


@cli.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print the inventory as JSON.")
def check(config: Path, as_json: bool) -> None:
    """Check configuration, sheets and every FCS file, without running the pipeline.

    Exit code 2 says that rows were rejected.

    \b
    Example:
      cytotrial check --config config/config.yaml
    """
    from cytotrial.steps.check import check_study

    text, rejected = check_study(config, as_json=as_json)
    click.echo(text)
    sys.exit(2 if rejected else 0)


@cli.command("check-unit")
@config_option
@unit_option
def check_unit(config: Path, unit: str) -> None:
    """Check the FCS files of one unit of work.

    \b
    Example:
      cytotrial check-unit --unit subject.S001
    """
    from cytotrial.steps.check import check_unit as step

    step(_plan_with(config, unit=unit), unit)


@cli.command()
@config_option
def inventory(config: Path) -> None:
    """Join what was checked: one row for every row of the sample sheet.

    \b
    Example:
      cytotrial inventory
    """
    from cytotrial.steps.check import join_inventory

    join_inventory(_plan(config))


@cli.command()
@config_option
@panel_option
@batch_option
def compensate(config: Path, panel: str, batch: str) -> None:
    """Make the spillover matrix of one panel and batch.

    \b
    Example:
      cytotrial compensate --panel treg --batch B01
    """
    from cytotrial.steps.compensate import compensate_batch

    compensate_batch(_plan(config), panel=panel, batch=batch)


@cli.command("judge-matrices")
@config_option
@panel_option
def judge_matrices(config: Path, panel: str) -> None:
    """Compare a panel's matrices with each other, and with what they leave in samples.

    \b
    Example:
      cytotrial judge-matrices --panel treg
    """
    from cytotrial.steps.judge_matrices import judge_matrices as step

    step(_plan(config), panel=panel)


@cli.command("read-gating")
@config_option
@panel_option
def read_gating(config: Path, panel: str) -> None:
    """Read a panel's gating (template, GatingML or FlowJo workspace) and check it.

    \b
    Example:
      cytotrial read-gating --panel treg
    """
    from cytotrial.steps.strategies import compile_gating

    compile_gating(config, panel=panel)


@cli.command("learn-reference")
@config_option
@panel_option
def learn_reference(config: Path, panel: str) -> None:
    """Learn the constants of a panel's gate finders from tubes that an expert has gated.

    Writes the file that `panels.<panel>.reference.file` names, and says from how many tubes and batches,
    and which error is to be expected.

    \b
    Example:
      cytotrial learn-reference --panel treg
    """
    from cytotrial.steps.learn import learn_reference as step

    with _bar("reading tubes") as progress:
        words = step(config, panel=panel, progress=progress)
    click.echo(words)


@cli.command()
@config_option
@panel_option
@unit_option
def place(config: Path, panel: str, unit: str) -> None:
    """Find where each tube of a unit by itself puts the gates of a panel, before its batch has a say.

    \b
    Example:
      cytotrial place --panel treg --unit subject.S001
    """
    from cytotrial.steps.place import place_unit

    place_unit(_plan_with(config, unit=unit), panel=panel, unit=unit)


@cli.command()
@config_option
@panel_option
def pool(config: Path, panel: str) -> None:
    """Say where the tubes of each batch together have the gates of a panel.

    \b
    Example:
      cytotrial pool --panel treg
    """
    from cytotrial.steps.pool import pool_panel

    pool_panel(_plan(config), panel=panel)


@cli.command("pool-table")
@config_option
@panel_option
def pool_table(config: Path, panel: str) -> None:
    """Put the pools of a panel's batches into one table.

    \b
    Example:
      cytotrial pool-table --panel treg
    """
    from cytotrial.steps.pool import tabulate_pools

    tabulate_pools(_plan(config), panel=panel)


@cli.command()
@config_option
@panel_option
@unit_option
def gate(config: Path, panel: str, unit: str) -> None:
    """Place and apply the gates on one unit's tubes of a panel.

    \b
    Example:
      cytotrial gate --panel treg --unit subject.S001
    """
    from cytotrial.steps.gate import gate_unit

    gate_unit(_plan_with(config, unit=unit), panel=panel, unit=unit)


@cli.command()
@config_option
def collect(config: Path) -> None:
    """Join the gates and populations of all units.

    \b
    Example:
      cytotrial collect
    """
    from cytotrial.steps.collect import collect_gating

    collect_gating(_plan(config))


@cli.command()
@config_option
def score(config: Path) -> None:
    """Judge every gate by its batch, its cohort and its controls; follow the quality-control donor.

    \b
    Example:
      cytotrial score
    """
    from cytotrial.steps.score import score_gating

    score_gating(_plan(config))


@cli.command()
@config_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("config/gating/lock.json"),
    show_default=True,
    help="File to write.",
)
def lock(config: Path, output: Path) -> None:
    """Lock the gating of a finished run: tubes that come later then change none of its values.

    \b
    Example:
      cytotrial lock
    """
    from cytotrial.steps.lock import lock_gating

    click.echo(lock_gating(_plan(config), path=output))


@cli.command()
@config_option
def count(config: Path) -> None:
    """Work out every parameter of every specimen.

    \b
    Example:
      cytotrial count
    """
    from cytotrial.steps.count import count_specimens

    count_specimens(_plan(config))


@cli.command()
@config_option
def dataset(config: Path) -> None:
    """Write the trial dataset.

    \b
    Example:
      cytotrial dataset
    """
    from cytotrial.steps.dataset import write_dataset

    write_dataset(_plan(config))


@cli.command()
@config_option
def sdtm(config: Path) -> None:
    """Write the tabulation datasets DM, LB, CP and SUPPCP.

    \b
    Example:
      cytotrial sdtm
    """
    from cytotrial.steps.sdtm import write_sdtm

    write_sdtm(_plan(config))


@cli.command()
@config_option
def adam(config: Path) -> None:
    """Write the analysis datasets ADSL and ADCP.

    \b
    Example:
      cytotrial adam
    """
    from cytotrial.steps.adam import write_adam

    write_adam(_plan(config))


@cli.command()
@config_option
def define(config: Path) -> None:
    """Write define.xml of the datasets, and the data dictionary.

    \b
    Example:
      cytotrial define
    """
    from cytotrial.steps.define import write_definitions

    write_definitions(_plan(config))


@cli.command("check-dataset")
@config_option
@click.option(
    "--record", is_flag=True, help="Only write checks.csv; the step that takes the dataset on refuses it."
)
def check_dataset(config: Path, record: bool) -> None:
    """Check the trial dataset against the project's own rules V01 to V22.

    Writes dataset/checks.csv; a rule that does not hold ends with exit code 1.

    \b
    Example:
      cytotrial check-dataset
    """
    from cytotrial.steps.check_dataset import check_dataset as step
    from cytotrial.steps.check_dataset import passed_in_words
    from cytotrial.steps.conformance import require_passed

    plan = _plan(config)
    findings = step(plan)
    if not record:
        require_passed(plan.layout.checks)
        click.echo(passed_in_words(findings))


@cli.command()
@config_option
def database(config: Path) -> None:
    """Write the trial's tables into one DuckDB file, if every check passed.

    \b
    Example:
      cytotrial database
    """
    from cytotrial.steps.database import write_trial_database

    write_trial_database(_plan(config))


@cli.command()
@config_option
@click.option(
    "--to",
    "address",
    required=True,
    envvar="CYTOTRIAL_DATABASE",
    help="postgresql://user@host/database. The password may stay in PGPASSWORD or in the password file.",
)
@click.option("--schema", help="Schema that is replaced; the study's name in lower case if not given.")
def load(config: Path, address: str, schema: str | None) -> None:
    """Copy the trial's tables into a PostgreSQL database.

    \b
    Example:
      cytotrial load --to postgresql://trialist@db.lab:5432/trials
    """
    from cytotrial.steps.load import load_into

    with _bar("copying tables") as progress:
        words = load_into(config, address, schema=schema, progress=progress)
    click.echo(words)


@cli.command()
@config_option
def report(config: Path) -> None:
    """Write the report.

    \b
    Example:
      cytotrial report
    """
    from cytotrial.steps.report import write_report

    write_report(_plan(config))


@cli.command("export-gates")
@config_option
@click.option(
    "--sample", "samples", multiple=True, help="A tube, by sample_id; may be repeated. All by default."
)
@click.option("--panel", help="Only the tubes of this panel.")
@click.option("--check", "check_them", is_flag=True, help="Let FlowKit apply what was written, and compare.")
def export_gates(config: Path, samples: tuple[str, ...], panel: str | None, check_them: bool) -> None:
    """Write the gates of each tube as GatingML 2.0 to gatingml/<sample_id>.xml.

    Exit code 2 says that a tube could not be written, or that FlowKit found other events.

    \b
    Example:
      cytotrial export-gates --sample S001-TREG-V1 --check
    """
    from cytotrial.steps.export import export_gates as step

    with _bar("writing gates") as progress:
        done = step(_plan(config), samples=samples, panel=panel, check=check_them, progress=progress)
    click.echo(done.in_words())
    sys.exit(0 if done.complete else 2)


@cli.command()
@config_option
def manifest(config: Path) -> None:
    """Write the manifest: hashes of everything that went in and came out of a run.

    \b
    Example:
      cytotrial manifest
    """
    from cytotrial.steps.manifest import write_manifest

    write_manifest(_plan(config))


@cli.command()
@config_option
@click.option(
    "--final",
    is_flag=True,
    help="Also refuse drafts, edited code, raw files the sheet does not pin.",
)
def verify(config: Path, final: bool) -> None:
    """Compare results and raw files, by content, with the manifest; say what to run again.

    Exit code 1 says that something is not as it was, or not fit for a final analysis.

    \b
    Example:
      cytotrial verify --final
    """
    from cytotrial.steps.verify import verify as step

    with _bar("reading raw files") as progress:
        text, good = step(config, final=final, progress=progress)
    click.echo(text)
    sys.exit(0 if good else 1)


@cli.command(context_settings={"ignore_unknown_options": True})
@config_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def resume(config: Path, arguments: tuple[str, ...]) -> None:
    """Go on with a run that was killed, or make again what was changed; ARGUMENTS go to snakemake.

    \b
    Example:
      cytotrial resume
      cytotrial resume --profile workflow/profiles/slurm
    """
    from cytotrial.steps.resume import resume as step

    sys.exit(step(config, arguments, default=DEFAULT_CONFIG))


@cli.command()
@config_option
@click.argument("manual", type=click.Path(path_type=Path, exists=True))
@click.option("--panel", help="Only the tubes of this panel.")
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="OURS=THEIRS",
    help="Which population is which, where the names differ; may be repeated.",
)
@click.option("--tubes", multiple=True, metavar="SAMPLE_ID", help="Only this tube; may be repeated.")
@click.option(
    "--min-ccc", type=click.FloatRange(-1, 1), help="Lin's coefficient that each population must reach."
)
@click.option("--min-f1", type=click.FloatRange(0, 1), help="Median F1 that each population must reach.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the page goes.  [default: agreement.html of the results]",
)
def agreement(
    config: Path, manual: Path, min_ccc: float | None, min_f1: float | None, **choices: Any
) -> None:
    """Compare a run's populations with a manual gating of some of its tubes.

    MANUAL is a FlowJo 10 workspace (its samples are the tubes' FCS file names), a GatingML 2.0 file (for
    every tube) or a folder of GatingML files named <sample_id>.xml.

    Exit code 2 says that something was not compared, or did not reach what was asked.

    \b
    Example:
      cytotrial agreement expert.wsp --panel treg --map 'CD4+=T cells/CD4' --min-ccc 0.9
    """
    from cytotrial.science.agreement_summary import Wanted
    from cytotrial.steps.agreement import compare_with_manual

    wanted = Wanted(min_ccc, min_f1)
    with _bar("comparing tubes") as progress:
        done = compare_with_manual(_plan(config), manual, wanted=wanted, progress=progress, **choices)
    click.echo(done.in_words())
    sys.exit(0 if done.complete else 2)


@cli.command()
@config_option
@click.argument("old", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("new", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the page goes.  [default: compare.html of NEW]",
)
@click.option("--tubes", "n_tubes", default=10, show_default=True, help="Tubes that are pictured.")
def compare(config: Path, old: Path, new: Path, output: Path | None, n_tubes: int) -> None:
    """Compare two results folders of one study: values, medians, conclusions, and the tubes that moved most.

    \b
    Example:
      cytotrial compare results results-new --output compare.html
    """
    from cytotrial.steps.compare import compare_results

    with _bar("picturing tubes") as progress:
        done = compare_results(old, new, config=config, output=output, n_tubes=n_tubes, progress=progress)
    click.echo(done.in_words())


@cli.command()
@config_option
@click.argument("subject")
@click.argument("visit")
@click.argument("parameter")
def trace(config: Path, subject: str, visit: str, parameter: str) -> None:
    """Print the whole way of one number of the dataset: files, matrix, masks, gates, formula, versions.

    \b
    Example:
      cytotrial trace S001 W12 TREGABS
    """
    from cytotrial.steps.trace import trace as step

    click.echo(step(config, subject, visit, parameter))


@cli.command()
@config_option
def review(config: Path) -> None:
    """Write the page on which gates are looked at and corrected.

    \b
    Example:
      cytotrial review
    """
    from cytotrial.steps.review import write_review

    write_review(_plan(config))


@cli.group()
def overrides() -> None:
    """Gates placed by hand: check the file, add what the review page exported.

    \b
    Example:
      cytotrial overrides check
    """


@overrides.command("check")
@config_option
def overrides_check(config: Path) -> None:
    """Check the overrides file: its chain, people, reasons, and what it rests on.

    Exit code 2 says that an override is stale: look at its gate again.

    \b
    Example:
      cytotrial overrides check --config config/config.yaml
    """
    from cytotrial.steps.overrides import check_overrides

    checked = check_overrides(config)
    click.echo(checked.in_words())
    sys.exit(2 if checked.stale else 0)


@overrides.command("add")
@click.argument("exported", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@config_option
def overrides_add(exported: Path, config: Path) -> None:
    """Append what the review page exported to the overrides file; adding twice adds nothing twice.

    \b
    Example:
      cytotrial overrides add ~/Downloads/overrides.tsv
    """
    from cytotrial.steps.overrides import add_overrides

    click.echo(add_overrides(config, exported))


@cli.command()
@config_option
def summary(config: Path) -> None:
    """Say in a few lines what a run made.

    \b
    Example:
      cytotrial summary
    """
    from cytotrial.steps.summary import summarise

    click.echo(summarise(config))


@cli.command()
def settings() -> None:
    """Print the reference of the configuration: every key with its type, default and meaning.

    \b
    Example:
      cytotrial settings
    """
    from cytotrial.steps.reference import configuration_page

    click.echo(configuration_page(), nl=False)


def main() -> None:
    """Entry point: run a command within the limits of its run; print mendable errors without a traceback."""
    if os.environ.get("CYTOTRIAL_LIMITS"):
        from cytotrial.steps.environment import limit_this_job

        limit_this_job()
    _without_traceback(cli)


def _without_traceback(command: Callable[..., Any]) -> None:
    try:
        command()
    except CytotrialError as error:
        click.echo(f"cytotrial: {error.message}", err=True)
        if error.hint:
            click.echo(f"  {error.hint}", err=True)
        sys.exit(1)
