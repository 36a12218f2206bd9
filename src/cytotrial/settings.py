"""The typed configuration: every key with its unit, its bounds and one sentence.

Unknown keys are errors. The schema and the table in the documentation are made
from these models, so a key is described in one place only.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cytotrial.errors import ConfigError, all_problems

Text = Annotated[str, Field(min_length=1, max_length=200)]
RelativePath = Annotated[str, Field(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f]+$")]
Identifier = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$", description="An id as in the sheets."),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="As `sha256sum` prints it.")]
PanelName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?$",
        description="As an id of the sheets, but without dots: results are named <panel>.<batch>.",
    ),
]
ParameterCode = Literal["LYMABS", "CD4ABS", "TREGABS", "TH17ABS", "TREGPCD4", "TH17PCD4", "TH17TREG"]


class Model(BaseModel):
    """Unknown keys are errors, values are not coerced, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Sheets(Model):
    """Where the sheets are (TSV, CSV or XLSX, UTF-8)."""

    samples: RelativePath = Field(description="One row per FCS file, or per planned tube that was not done.")
    subjects: RelativePath = Field(description="One row per subject.")
    visits: RelativePath = Field(description="One row per planned visit, with its window in study days.")
    cbc: RelativePath | None = Field(
        None, description="Blood counts per specimen (needed for dual platform)."
    )
    clinical: RelativePath | None = Field(
        None, description="Clinical values, long form: for the report's tables."
    )
    exposure: RelativePath | None = Field(None, description="Doses given: for the individual profiles.")


class Expert(Model):
    """Tubes that an expert has gated, for `cytotrial learn-reference`."""

    source: RelativePath = Field(
        description="FlowJo workspace (.wsp), GatingML for all tubes (.xml), a folder of GatingML files "
        "named <sample_id>.xml, or approved overrides (.tsv)."
    )
    tubes: list[Identifier] = Field(
        default_factory=list,
        description="Tubes to learn from; empty: all of the panel that the source gates.",
    )
    populations: dict[Text, Text] = Field(
        default_factory=dict,
        description="Population of the template → its name or path in the source; those of the same name "
        "need no entry.",
    )
    expert: Text = Field(description="Who gated: initials and role, no name.")
    gated_on: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] = Field(
        description="When, as an ISO 8601 date."
    )


class Reference(Model):
    """What tubes gated by an expert taught the finders of a panel."""

    file: RelativePath = Field(
        description="The file that `cytotrial learn-reference` writes and gating reads."
    )
    experts: list[Expert] = Field(
        default_factory=list, description="What learn-reference reads; gating itself never does."
    )


class Panel(Model):
    """One kind of tube: its markers, its compensation and its gating."""

    markers: dict[Text, list[Text]] = Field(
        min_length=1,
        max_length=60,
        description="Marker → the names it may go by in $PnS or $PnN. Two hits or none reject the tube.",
    )
    without_fluorochrome: list[Text] = Field(
        default_factory=list,
        description="Markers whose channel carries no dye of this panel (such as a bead channel): "
        "they need no single-stain control.",
    )
    compensation: RelativePath = Field(
        "embedded",
        description="`controls` (estimated from single stains), `embedded` ($SPILLOVER of each file), "
        "`none` (already compensated) or the path of a matrix file.",
    )
    matrix_files: dict[Identifier, RelativePath] = Field(
        default_factory=dict,
        description="Batch → matrix file that is used for it in place of `compensation`: a matrix handed "
        "back after editing.",
    )
    compensation_fallback: Literal["none", "nearest_batch"] = Field(
        "none",
        description="What a batch without a usable matrix gets: none, its tubes fail with the reason; or "
        "`nearest_batch`, the matrix of the batch drawn nearest in time, flagged on every value.",
    )
    gating: RelativePath = Field(
        description="Gating template (.yaml), GatingML 2.0 (.xml) or FlowJo 10 workspace (.wsp)."
    )
    batch_reference: bool = Field(
        True,
        description="Whether gates may lean on the other tubes of the batch, where their finder does so.",
    )
    reference: Reference | None = Field(
        None,
        description="Reference tubes; without them every value that rests on found gates is `uncalibrated`.",
    )
    material: Literal["blood", "pbmc"] = Field(
        "blood",
        description="What the tube was stained from; counts per µL of blood from pbmc are flagged, as the "
        "recovery of cells is unknown.",
    )
    washed: bool = Field(
        False,
        description="Whether cells were washed after beads or blood were metered: cells and beads are then "
        "lost, and a count against beads or in a volume is refused.",
    )

    @model_validator(mode="after")
    def _matrices_agree(self) -> Panel:
        if self.compensation == "none" and (self.matrix_files or self.compensation_fallback != "none"):
            raise ValueError(
                "compensation is none, so that matrix_files and compensation_fallback have no use"
            )
        if self.compensation_fallback != "none" and self.compensation not in {"controls", "embedded"}:
            raise ValueError("compensation_fallback needs compensation: controls or embedded")
        return self


class Spillover(Model):
    """Compensation: what a single-stain control must hold, and what flags a channel pair."""

    min_positive_events: int = Field(
        300,
        ge=50,
        description="A control with fewer positive events is refused: at 300 a usual spread of 5 % of the "
        "brightness leaves the slope with a standard error of 0.0036, at 100 with 0.0062.",
    )
    max_standard_error: float = Field(
        0.005,
        gt=0,
        description="A spillover known less well is flagged `imprecise`: at a brightness of 10,000 it moves "
        "a population by 50, half of a usual negative width.",
    )
    max_residual_slope: float = Field(
        0.01,
        gt=0,
        description="A slope left in a compensated control is flagged beyond this: a population of "
        "brightness 10,000 moves by 100.",
    )
    max_sample_slope: float = Field(
        0.02,
        gt=0,
        description="A slope left in the samples is flagged beyond this and two standard errors; cells of a "
        "sample differ in their own glow by about a negative width.",
    )
    max_spreading: float = Field(
        10.0,
        gt=0,
        description="A spreading coefficient is flagged above this: a stain of brightness 10,000 is then "
        "1,000 wide in the other detector.",
    )
    max_widening: float = Field(
        10.0,
        gt=1,
        description="Positives more than this many times as wide as the negatives are flagged: they hide a "
        "dim marker read in that detector.",
    )
    max_difference: float = Field(
        0.05,
        gt=0,
        description="A difference to the embedded matrix, or to the median of the panel's batches, is "
        "flagged beyond this: two careful operators differ by as much on the same files.",
    )
    max_condition_number: float = Field(
        10.0,
        gt=1,
        description="A matrix is flagged above this: compensation may then amplify noise and errors tenfold.",
    )
    sample_tubes: int = Field(
        3, ge=0, le=100, description="Sample tubes of each batch in which remaining slopes are measured."
    )
    pictured_pairs: int = Field(
        3, ge=0, le=50, description="Channel pairs of each batch that are pictured, the worst first."
    )


class Counts(Model):
    """How cells become cells per microlitre."""

    method: Literal["beads", "dual_platform", "volumetric"] = Field(
        "beads",
        description="Absolute counts of the count tube: against counting beads, as a share of the blood "
        "count's lymphocytes, or in the volume that the cytometer metered ($VOL).",
    )
    beads: Text = Field("beads", description="Population of the count tube that holds the counting beads.")
    lymphocytes: Text = Field(
        "lymphocytes",
        description="Population of the count tube that holds all lymphocytes (for dual platform, and to "
        "compare a count with the blood count).",
    )
    min_bead_events: int = Field(
        1000,
        ge=1,
        description="Fewer beads than this flag the count (1,000 beads have a counting CV of 3.2 %).",
    )
    lod_events: int = Field(20, ge=1, description="Limit of detection, in events of the population.")
    lloq_events: int = Field(
        50, ge=1, description="Lower limit of quantitation, in events of the population."
    )
    bead_lot_cv_percent: float = Field(
        0.0, ge=0, le=100, description="CV of the lot's bead number; stated beside the interval, not in it."
    )
    pipette_cv_percent: float = Field(
        0.0, ge=0, le=100, description="CV of the pipetted blood; stated beside the interval, not in it."
    )
    cbc_cv_percent: float = Field(
        3.0,
        ge=0,
        le=100,
        description="CV of the blood count's lymphocytes; part of a dual-platform interval.",
    )
    volume_cv_percent: float = Field(
        0.0, ge=0, le=100, description="CV of the metered volume; part of a volumetric interval."
    )
    max_cbc_hours: float = Field(
        24.0, ge=0, le=168, description="A blood count taken farther from the draw than this is refused."
    )

    @model_validator(mode="after")
    def _limits_in_order(self) -> Counts:
        if self.lloq_events < self.lod_events:
            raise ValueError(f"lloq_events {self.lloq_events} must not be below lod_events {self.lod_events}")
        return self

    @property
    def partner(self) -> str:
        """Population that cells are counted against; empty where they are counted in a volume."""
        return {"beads": self.beads, "dual_platform": self.lymphocytes}.get(self.method, "")


class _Judged(Model):
    """Limits that a parameter may have of its own, from a lab's validation."""

    lod_events: int | None = Field(
        None, ge=0, description="Limit of detection of this parameter, in events; empty: that of counts."
    )
    lloq_events: int | None = Field(
        None, ge=0, description="Limit of quantitation of this parameter, in events; empty: that of counts."
    )
    typical: list[float] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="Lowest and highest usual value; outside a tenth to ten times of it a value is flagged. "
        "Empty: the range of healthy adults.",
    )

    @field_validator("typical")
    @classmethod
    def _in_order(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and not 0 <= value[0] < value[1]:
            raise ValueError(f"{value} must be two numbers, the lower one first and not below 0")
        return value


class Absolute(_Judged):
    """Cells per microlitre, counted in this tube by `counts.method`."""

    kind: Literal["absolute"]
    panel: Text = Field(description="Panel of the tube.")
    population: Text = Field(description="Population that is counted.")


class Percent(_Judged):
    """Per cent of a named parent population."""

    kind: Literal["percent"]
    panel: Text = Field(description="Panel of the tube.")
    population: Text = Field(description="Population that is counted.")
    of: Text = Field(description="Population that is the denominator.")
    background: bool = Field(
        False, description="Subtract the fraction seen in the unstimulated tube of the same draw (floor 0)."
    )


class CrossTube(_Judged):
    """Per cent of a parent in this tube × cells/µL of that parent in the count tube of the same draw."""

    kind: Literal["cross_tube"]
    percent: ParameterCode = Field(description="The parameter (kind percent) that is multiplied.")
    count: ParameterCode = Field(description="The parameter (kind absolute) it is multiplied with.")
    same_population: bool = Field(
        False,
        description="Say true if the percentage's parent and the counted population are the same cells "
        "though their names differ between the two gatings; else differing names are refused.",
    )


class Ratio(_Judged):
    """One count over another, of the same draw; a count that both share cancels."""

    kind: Literal["ratio"]
    numerator: ParameterCode = Field(description="Parameter above the line.")
    denominator: ParameterCode = Field(description="Parameter below the line.")


Parameter = Annotated[Absolute | Percent | CrossTube | Ratio, Field(discriminator="kind")]


class Visits(Model):
    """How draws become visits, beside the windows of the visit sheet."""

    assume_day1_predose: bool = Field(
        True,
        description="Take a draw on the day of the first dose for one before it, where the sheets give no "
        "time of day for one of them.",
    )


class Quality(Model):
    """Acquisition quality: which events are masked before gating, and when a tube is flagged."""

    time_bins: bool = Field(True, description="Mask stretches of time with an unstable rate or signal.")
    mad: float = Field(
        6.0, gt=0, description="A time bin is off if a peak leaves its median by this many robust SD."
    )
    isolation_gain: float = Field(
        0.6, gt=0, lt=1, description="Share of the SD that a split of the time bins must take away."
    )
    min_shift: float = Field(
        0.05,
        ge=0,
        description="A peak that moves less than this (arcsinh, cofactor 150; about 5 % of a bright signal) "
        "is steady.",
    )
    rate_factor: float = Field(
        1.5, gt=1, description="A bin's event rate is off only beyond this factor from the median rate."
    )
    max_margin_percent: float = Field(
        10.0, ge=0, le=100, description="A scatter channel with more events off its scale is flagged."
    )
    max_time_removed_percent: float = Field(
        30.0,
        ge=0,
        le=100,
        description="A tube that loses more than this share of its events is flagged WARN.",
    )
    fail_time_removed_percent: float = Field(
        70.0,
        ge=0,
        le=100,
        description="A tube that loses more than this share fails: what is left is no longer the larger part "
        "of it (PeacoQC warns from here on).",
    )
    min_events: int = Field(1000, ge=0, description="A tube with fewer events is flagged.")

    @model_validator(mode="after")
    def _warns_before_it_fails(self) -> Quality:
        if self.fail_time_removed_percent < self.max_time_removed_percent:
            raise ValueError(
                f"fail_time_removed_percent {self.fail_time_removed_percent:g} must not be below "
                f"max_time_removed_percent {self.max_time_removed_percent:g}"
            )
        return self


MarkerString = Annotated[
    str,
    Field(
        max_length=200,
        pattern=r"^([A-Z][A-Z0-9]*(\+|-|lo|mid|hi))+(/([A-Z][A-Z0-9]*(\+|-|lo|mid|hi))+)?$",
        description="Markers in capitals without hyphens, each with its level, such as CD4+CD127lo.",
    ),
]


class CellTests(Model):
    """How the cells of one parameter are described in the trial dataset."""

    markers: MarkerString | None = Field(
        None,
        description="CPMRKSTR: each marker of the gating with its level (+, -, lo, mid, hi), without "
        "separators; of a percentage, a slash and the denominator's. Empty: the usual markers, if the "
        "panel has them all.",
    )
    test_code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{0,7}$")] | None = Field(
        None,
        description="CPTESTCD, if not the usual one: a controlled term, or one of your own with its name.",
    )
    test_name: Annotated[str, Field(min_length=1, max_length=40)] | None = Field(
        None, description="CPTEST of a code of your own; a controlled code brings its name."
    )
    sublineage: MarkerString | None = Field(None, description="CPSBMRKS, with a test name that ends in Sub.")
    cell_state: Text | None = Field(None, description="CPCELSTA, a controlled term such as ACTIVATED.")
    state_markers: MarkerString | None = Field(
        None, description="CPCSMRKS: the markers of the cell state; needed with it, and only with it."
    )
    stimulated: bool | None = Field(
        None,
        description="Whether the tube was stimulated. Empty: if background is subtracted.",
    )
    agents: list[Text] = Field(
        default_factory=list, max_length=10, description="CPCNDAGT: what it was stimulated with."
    )


class Cdisc(Model):
    """How the trial dataset is written in CDISC form (SDTM, ADaM)."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = Field(
        None, description="DM.COUNTRY, three letters (ISO 3166-1 alpha-3)."
    )
    treatment: Text | None = Field(
        None, description="The study drug, as in the exposure sheet. Empty: the sheet's only drug."
    )
    laboratory: Text | None = Field(None, description="CPNAM: the laboratory that measured.")
    results_origin: Literal["lab", "sponsor"] = Field(
        "lab", description="Who reports the results by its own procedure; the sponsor's carry CPDRVFL = Y."
    )
    specimen_condition: Text | None = Field(
        None, description="CPSPCCND, a controlled term such as FRESH or FROZEN."
    )
    blq: Literal["measured", "halflloq", "missing"] = Field(
        "measured",
        description="A value below the limit of quantitation in ADCP: as measured, half the limit's value "
        "(DTYPE = HALFLLOQ), or missing. With the last two, CP states `<x` below the limit of detection.",
    )
    tests: dict[ParameterCode, CellTests] = Field(
        default_factory=dict, description="How the cells of a parameter are described."
    )


class QcDonor(Model):
    """The quality-control donor: the same cells in every batch, followed from batch to batch."""

    subjects: list[Identifier] = Field(
        default_factory=list,
        description="Subjects of the sample sheet that are quality-control donors; they are in no table of "
        "the trial.",
    )
    establishing_batches: int = Field(
        5,
        ge=3,
        le=100,
        description="The first so many batches set the limits; each of them is judged by the others, each "
        "later one by all before it that were in control.",
    )


class Doubt(Model):
    """When a gate is doubted; a doubt flags every value that rests on the gate."""

    batch_distance: float = Field(
        0.04,
        gt=0,
        description="A gate of a reported population whose own position is farther from its batch's median "
        "(on the gate's scale) is flagged FAR_FROM_BATCH.",
    )
    batch_distance_above: float = Field(
        0.06, gt=0, description="The same for gates above the reported populations."
    )
    cohort_z: float = Field(
        3.0,
        gt=0,
        description="A reported percentage with a larger robust z (of its logit, within the panel's sample "
        "tubes) is flagged COHORT_OUTLIER.",
    )
    disagreement: float = Field(
        1.3,
        gt=1,
        description="A second method that finds more by this factor, or fewer, flags METHODS_DISAGREE.",
    )
    similarity: float = Field(
        0.85, ge=0, le=1, description="A tube less similar to the reference is flagged LOW_SIMILARITY."
    )
    few_events: int = Field(
        50, ge=0, description="A reported population with fewer events is flagged FEW_POSITIVES."
    )
    few_parents: int = Field(
        200, ge=0, description="A gate found on fewer events of its parent is flagged FEW_PARENTS."
    )
    unsteady_percent: float = Field(
        1.0,
        ge=0,
        le=100,
        description="A tube that lost more than this share of its events to unsteady acquisition is first "
        "to be reviewed; no flag, no value changes.",
    )
    small_tube: float = Field(
        0.25,
        ge=0,
        le=1,
        description="A tube with fewer events than this share of the median of its panel's sample tubes is "
        "first to be reviewed; no flag, no value changes.",
    )
    hold_back: list[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]+$")]] = Field(
        default_factory=lambda: ["FEW_PARENTS"],
        description="Flags that hold a value back: status FAIL, with the reason, and no number.",
    )


class Report(Model):
    """What the report shows; changing it reruns the report only."""

    title: Text = Field("Flow cytometry report", description="Title of the page.")
    profiles: list[Identifier] = Field(
        default_factory=list, max_length=50, description="Subjects shown one by one (treatment cycles)."
    )
    gate_pictures: int = Field(
        3, ge=0, le=50, description="Number of tubes of each panel whose gates are pictured."
    )
    pair_pictures: int = Field(
        4,
        ge=0,
        le=50,
        description="Number of channel pairs of each panel that are shown before and after compensation.",
    )
    acquisition_pictures: int = Field(
        200,
        ge=0,
        le=5000,
        description="Most tubes whose acquisition is pictured: those with a flag or a removed stretch, the "
        "most removed first.",
    )


class Review(Model):
    """The page on which gates are looked at and corrected."""

    blinded: bool = Field(
        False,
        description="No subject, visit or arm anywhere on the page, and tubes under names that do not tell.",
    )


class Execution(Model):
    """How work is cut into jobs; never changes a number."""

    shards: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Jobs per panel for a wide trial; empty: one job per subject and batch.",
    )
    job_minutes: int = Field(60, ge=1, le=10_000, description="A job that takes longer is ended.")
    job_gigabytes: float = Field(
        16.0, ge=1, description="A job that asks for more address space is refused it (Linux)."
    )


class Settings(Model):
    """The whole configuration of one study."""

    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="STUDYID.")]
    fcs_dir: RelativePath = Field(description="Folder of the FCS files; nothing outside it is opened.")
    results: RelativePath = Field("results", description="Folder of everything that is written.")
    sheets: Sheets
    panels: dict[PanelName, Panel] = Field(min_length=1, max_length=50)
    spillover: Spillover = Field(default_factory=lambda: Spillover.model_validate({}))
    counts: Counts = Field(default_factory=lambda: Counts.model_validate({}))
    parameters: dict[ParameterCode, Parameter] = Field(default_factory=dict)
    visits: Visits = Field(default_factory=lambda: Visits.model_validate({}))
    quality: Quality = Field(default_factory=lambda: Quality.model_validate({}))
    cdisc: Cdisc = Field(default_factory=lambda: Cdisc.model_validate({}))
    doubt: Doubt = Field(default_factory=lambda: Doubt.model_validate({}))
    qc_donor: QcDonor = Field(default_factory=lambda: QcDonor.model_validate({}))
    report: Report = Field(default_factory=lambda: Report.model_validate({}))
    review: Review = Field(default_factory=lambda: Review.model_validate({}))
    execution: Execution = Field(default_factory=lambda: Execution.model_validate({}))
    approved: dict[RelativePath, Sha256] = Field(
        default_factory=dict,
        description="File → SHA-256 of what is approved for the final analysis: gatings, references, "
        "matrices, overrides. What is not listed is a draft, which `cytotrial verify --final` refuses.",
    )
    locked: RelativePath | None = Field(
        None,
        description="The file that `cytotrial lock` wrote: tubes that come later then change no value of "
        "those that were there.",
    )
    overrides: RelativePath | None = Field(
        None, description="Gates placed by hand on the review page; each run applies those that still stand."
    )

    @field_validator("fcs_dir", "results")
    @classmethod
    def _a_folder_of_the_project(cls, value: str) -> str:
        if value.rstrip("/") in {"", ".", ".."} or value.startswith("~"):
            raise ValueError(f"'{value}' is not a folder of its own; name one, such as results")
        return value

    @model_validator(mode="after")
    def _names_agree(self) -> Settings:
        problems = [*_unknown_panels(self), *_unknown_parameters(self)]
        problems += [*_impossible_counts(self), *_limits_reversed(self)] if not problems else []
        if self.results.rstrip("/") == self.fcs_dir.rstrip("/"):
            problems.append("results and fcs_dir are the same folder: raw files would be mixed with results")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _unknown_panels(settings: Settings) -> Iterator[str]:
    for code, parameter in settings.parameters.items():
        panel = getattr(parameter, "panel", None)
        if panel is not None and panel not in settings.panels:
            near = _suggest(panel, settings.panels)
            yield f"parameters.{code}.panel: '{panel}' is not one of the panels{near}"


def _unknown_parameters(settings: Settings) -> Iterator[str]:
    wanted: dict[str, dict[str, tuple[str, ...]]] = {
        "cross_tube": {"percent": ("percent",), "count": ("absolute",)},
        "ratio": {"numerator": ("absolute", "cross_tube"), "denominator": ("absolute", "cross_tube")},
    }
    for code, parameter in settings.parameters.items():
        for key, kinds in wanted.get(parameter.kind, {}).items():
            name = getattr(parameter, key)
            other = settings.parameters.get(name)
            if other is None:
                yield f"parameters.{code}.{key}: '{name}' is not one of the parameters that are configured"
            elif other.kind not in kinds:
                expected = " or ".join(kinds)
                yield f"parameters.{code}.{key}: '{name}' is of kind {other.kind}, expected {expected}"
        yield from _unlike_parents(settings, code, parameter)


def _impossible_counts(settings: Settings) -> Iterator[str]:
    """Counts that the method cannot give."""
    method = settings.counts.method
    panels = {entry.panel for entry in settings.parameters.values() if isinstance(entry, Absolute)}
    if panels and method == "dual_platform" and settings.sheets.cbc is None:
        yield "counts.method: dual_platform needs the blood counts; name their sheet under sheets.cbc"
    for code, entry in settings.parameters.items():
        if isinstance(entry, Absolute) and settings.panels[entry.panel].washed and method != "dual_platform":
            yield (
                f"parameters.{code}: panel '{entry.panel}' is washed, which loses cells and beads, so "
                f"counts.method {method} gives no count in it; use an unwashed tube, or dual_platform"
            )


def _limits_reversed(settings: Settings) -> Iterator[str]:
    for code in settings.parameters:
        lod, lloq = event_limits(settings, code)
        if lloq < lod:
            yield f"parameters.{code}: lloq_events {lloq} must not be below lod_events {lod}"


def event_limits(settings: Settings, code: ParameterCode) -> tuple[int, int]:
    """Limits of detection and of quantitation of a parameter, in events.

    Its own; else those of the parameter whose events it rests on (the percentage of a count across
    tubes, the numerator of a ratio); else those of all counts.
    """
    parameter = settings.parameters[code]
    basis: ParameterCode | None = None
    if isinstance(parameter, CrossTube):
        basis = parameter.percent
    elif isinstance(parameter, Ratio):
        basis = parameter.numerator
    counts = settings.counts
    lod, lloq = event_limits(settings, basis) if basis else (counts.lod_events, counts.lloq_events)
    own = parameter.lod_events, parameter.lloq_events
    return (lod if own[0] is None else own[0]), (lloq if own[1] is None else own[1])


def _unlike_parents(settings: Settings, code: str, parameter: Any) -> Iterator[str]:
    """A percentage of one population times the count of another is no count."""
    if not isinstance(parameter, CrossTube) or parameter.same_population:
        return
    percent, count = settings.parameters.get(parameter.percent), settings.parameters.get(parameter.count)
    if isinstance(percent, Percent) and isinstance(count, Absolute) and percent.of != count.population:
        yield (
            f"parameters.{code}: {parameter.percent} is a percentage of '{percent.of}', but "
            f"{parameter.count} counts '{count.population}'; if these are the same cells, "
            "say same_population: true"
        )


def load_settings(plain: Mapping[str, Any], *, where: str) -> Settings:
    """The typed settings of plain data, or one error that lists every problem.

    Parameters
    ----------
    plain : mapping
        What the YAML file holds: text, numbers, lists and mappings only.
    where : str
        The file's name, for the message.

    Raises
    ------
    ConfigError
        With one line per problem; a misspelt key comes with a suggestion.
    """
    try:
        return Settings.model_validate(plain)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors(include_url=False)]
        raise ConfigError(all_problems(where, problems)) from None


def _problem(item: Any) -> str:
    location = ".".join(
        str(part) for part in item["loc"] if part not in {"absolute", "percent", "cross_tube", "ratio"}
    )
    if item["type"] == "extra_forbidden":
        key = str(item["loc"][-1])
        return f"{location}: unknown key{_suggest(key, _keys_at(item['loc'][:-1]))}"
    if item["type"] == "missing":
        return f"{location}: is missing"
    message = item["msg"].removeprefix("Value error, ")
    seen = item.get("input")
    shown = f" (found {str(seen)[:60]!r})" if isinstance(seen, str | int | float | bool) else ""
    return f"{location}: {message}{shown}" if location else f"{message}{shown}"


def _suggest(word: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known)}"


def _models_of(annotation: Any) -> list[type[Model]]:
    """Every settings model that an annotation may hold, through unions, lists and dictionaries."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return [annotation]
    if get_origin(annotation) in {Union, UnionType, Annotated, dict, list}:
        return [model for part in get_args(annotation) for model in _models_of(part)]
    return []


def _keys_at(location: Sequence[Any]) -> list[str]:
    models: list[type[Model]] = [Settings]
    for part in location:
        inner = [
            model
            for parent in models
            if part in parent.model_fields
            for model in _models_of(parent.model_fields[part].annotation)
        ]
        models = inner or models
    return sorted({key for model in models for key in model.model_fields})


def canonical(value: Any) -> str:
    """Settings as text that only changes when their meaning does: sorted keys, one form per number.

    Examples
    --------
    >>> canonical({"b": 262144.0, "a": 1}) == canonical({"a": 1, "b": 262144})
    True
    """
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return json.dumps(_one_form(plain), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _one_form(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _one_form(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_one_form(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def digest(value: Any) -> str:
    """First 16 hexadecimal digits of the SHA-256 of `canonical(value)`."""
    return digest_of_text(canonical(value))


def digest_of_text(canonical_text: str) -> str:
    """`digest` of what has that canonical text."""
    return hashlib.sha256(canonical_text.encode()).hexdigest()[:16]


def configuration_table() -> list[tuple[str, str, str, str]]:
    """Key, type, default and meaning of every setting: the documentation's table is made from it."""
    return list(_rows_of(Settings, ""))


def _rows_of(model: type[Model], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, info in model.model_fields.items():
        models = _models_of(info.annotation)
        key = f"{prefix}{name}" + (".<name>" if get_origin(info.annotation) is dict and models else "")
        if not models:
            default = (
                "required" if info.is_required() else _shown(info.get_default(call_default_factory=True))
            )
            yield (key, _kind(info.annotation), default, info.description or "")
        for part in models:
            variant = _variant(part)
            yield (f"{key}{variant}", "section", "", (part.__doc__ or "").strip().splitlines()[0])
            yield from _rows_of(part, f"{key}{variant}.")


def _variant(model: type[Model]) -> str:
    """A parameter's kind, where one key may hold several kinds of section."""
    kind = model.model_fields.get("kind")
    return f" ({get_args(kind.annotation)[0]})" if kind else ""


def _shown(default: Any) -> str:
    return "empty" if default in (None, [], {}) else str(default)


def _kind(annotation: Any) -> str:
    """A type in a user's words."""
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if annotation in words:
        return words[annotation]
    if get_origin(annotation) is Literal:
        return " or ".join(str(value) for value in get_args(annotation))
    if get_origin(annotation) is list:
        return f"list of {_kind(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return f"mapping to {_kind(get_args(annotation)[1])}"
    inner = [part for part in get_args(annotation) if part is not type(None)]
    return _kind(inner[0]) if inner else str(annotation)
