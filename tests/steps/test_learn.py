"""A reference is learnt from an expert's gates, says how far it can be trusted, and reaches the gates."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cytotrial.demo import write_demo
from cytotrial.errors import ConfigError, TemplateError
from cytotrial.files.reference import ReferenceFile, read_reference
from cytotrial.files.strategy import read_strategies
from cytotrial.steps.learn import learn_reference
from cytotrial.steps.plan import make_plan
from cytotrial.steps.strategies import compile_gating

CONFIG = Path("config/config.yaml")
REFERENCE = Path("config/gating/th17.reference.json")
SECTION = """    reference:
      file: config/gating/th17.reference.json
      experts:
        - source: resources/demo/expert/th17
          expert: XX, simulated
          gated_on: "2024-06-01"
"""


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learn")
    write_demo(folder / "resources" / "demo", subjects=1, events=4000, seed=5, expert=True)
    return folder


def configure(trial: Path, repository: Path) -> None:
    """The shipped configuration, in which only th17 names a reference."""
    for name in ("config", "results"):
        shutil.rmtree(trial / name, ignore_errors=True)
    shutil.copytree(repository / "config", trial / "config")
    for reference in (trial / "config" / "gating").glob("*.reference.json"):
        reference.unlink()
    kept, skipping = [], False
    for line in (trial / CONFIG).read_text(encoding="utf-8").splitlines(keepends=True):
        skipping = line.startswith("    reference:") or (skipping and line.startswith("      "))
        kept += [] if skipping else [line]
    gating = "    gating: config/gating/th17.yaml\n"
    (trial / CONFIG).write_text("".join(kept).replace(gating, gating + SECTION), encoding="utf-8")


@pytest.fixture(scope="module")
def learnt(trial: Path, repository: Path) -> tuple[str, bytes]:
    """What is told when th17 is learnt, and the file that is written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trial)
        configure(trial, repository)
        told = learn_reference(CONFIG, panel="th17")
        return told, REFERENCE.read_bytes()


@pytest.fixture
def here(trial: Path, repository: Path, learnt: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trial before anything is learnt."""
    configure(trial, repository)
    monkeypatch.chdir(trial)
    return trial


@pytest.fixture
def reference(here: Path, learnt: tuple[str, bytes]) -> ReferenceFile:
    """The trial with its reference."""
    REFERENCE.write_bytes(learnt[1])
    return read_reference(REFERENCE)


def edit(old: str, new: str) -> None:
    text = CONFIG.read_text(encoding="utf-8")
    assert old in text
    CONFIG.write_text(text.replace(old, new), encoding="utf-8")


def test_what_was_learnt_is_told_beside_what_is_wanted_and_the_error_to_be_expected(
    learnt: tuple[str, bytes], reference: ReferenceFile
):
    told, n_tubes = learnt[0], len(reference.tubes)
    assert f"{n_tubes} tubes of {reference.n_batches} batches" in told
    assert "wanted are 30 tubes of 6 batches" in told
    assert "fewer than wanted" in told
    assert reference.expected_error["Th17 / CD4+"]["tubes"] == n_tubes
    assert f"version {reference.version}" in told


def test_the_offset_that_the_expert_uses_is_found_again(reference: ReferenceFile):
    # He cuts at his usual tube's best place, with a hand that shakes by 0.02: about 0.14 above the mode.
    taught = reference.populations["Th17"]
    assert taught.constants is not None
    assert taught.constants["offset"] == pytest.approx(0.14, abs=0.02)
    assert (taught.finder, taught.parent, taught.channels) == ("negative_offset", "CD4+", ("IL-17A",))


def test_learning_twice_gives_the_same_file(here: Path, learnt: tuple[str, bytes]):
    learn_reference(CONFIG, panel="th17")
    assert REFERENCE.read_bytes() == learnt[1]


def test_the_finders_of_the_compiled_gating_hold_what_was_learnt(reference: ReferenceFile):
    compile_gating(CONFIG, panel="th17")
    (strategy,) = read_strategies(make_plan(CONFIG).layout.strategy("th17")).values()
    find = next(population.find for population in strategy.populations if population.name == "Th17")
    assert find is not None
    assert find.reference == reference.populations["Th17"].constants
    assert strategy.full_version.endswith(f"@{reference.version}")


def test_chosen_tubes_only_are_learnt_from(here: Path):
    plan = make_plan(CONFIG, with_references=False)
    some = [tube.sample_id for tube in plan.trial.tubes if tube.panel == "th17" and tube.role == "sample"][:3]
    edit("th17\n          expert", f"th17\n          tubes: [{', '.join(some)}]\n          expert")
    learn_reference(CONFIG, panel="th17")
    reference = read_reference(REFERENCE)
    assert [tube["sample_id"] for tube in reference.tubes] == sorted(some)


def test_populations_go_by_the_experts_names_where_they_are_told(here: Path):
    edit("          expert: XX", "          populations: {T cells: CD3+, Th17: IL17+}\n          expert: XX")
    with pytest.raises(ConfigError, match="there is no population 'CD3\\+', 'IL17\\+'; it has singlets"):
        learn_reference(CONFIG, panel="th17")


def test_a_tube_that_the_expert_has_not_gated_is_told(here: Path):
    edit("th17\n          expert", "th17\n          tubes: [T000000]\n          expert")
    with pytest.raises(ConfigError, match="no sample tube of the panel is named T000000"):
        learn_reference(CONFIG, panel="th17")


def test_a_panel_without_experts_has_nothing_to_learn_from(here: Path):
    with pytest.raises(ConfigError, match=r"panels.treg.reference.experts is empty"):
        learn_reference(CONFIG, panel="treg")


def test_a_run_does_not_begin_without_the_reference_that_it_names(here: Path):
    with pytest.raises(ConfigError, match="cytotrial learn-reference --panel th17"):
        make_plan(CONFIG)


def test_a_reference_of_another_template_is_refused(reference: ReferenceFile):
    template = Path("config/gating/th17.yaml")
    text = template.read_text(encoding="utf-8")
    template.write_text(
        text.replace("finder: negative_offset, offset: 0.146", "finder: tail"), encoding="utf-8"
    )
    with pytest.raises(
        TemplateError, match="'Th17' was learnt for negative_offset, which the template does not"
    ):
        compile_gating(CONFIG, panel="th17")


def test_a_reference_of_another_parent_is_refused(reference: ReferenceFile):
    template = Path("config/gating/th17.yaml")
    text = template.read_text(encoding="utf-8")
    before, after = text.split("  - name: Th17\n")
    template.write_text(
        before + "  - name: Th17\n" + after.replace("parent: CD4+", "parent: T cells"), encoding="utf-8"
    )
    with pytest.raises(
        TemplateError, match="learnt on IL-17A of CD4\\+; in the template it is IL-17A of T cells"
    ):
        compile_gating(CONFIG, panel="th17")
