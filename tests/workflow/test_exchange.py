"""Gates out, a manual gating beside ours, and two runs side by side: by the commands, on the tiny trial."""

from __future__ import annotations

import html
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cytotrial.files.in_flowkit import applied_by_flowkit
from cytotrial.files.tables import read_table
from cytotrial.files.whole import write_text
from tests.workflow.study import Study
from tests.workflow.study_commands import cytotrial, done


@pytest.fixture(scope="module")
def run(study: Study) -> Study:
    study.run()
    return study


@pytest.fixture(scope="module")
def exported(run: Study) -> str:
    return done(run, "export-gates", "--check")


def inventory(study: Study) -> dict[str, dict[str, str]]:
    return {row["sample_id"]: row for row in read_table(study.path("results/check/inventory.csv"))}


def gated(study: Study, panel: str = "", role: str = "sample") -> list[str]:
    """Tubes with a population of every name that the panel has."""
    rows = read_table(study.path("results/populations.csv"))
    failed = {row["sample_id"] for row in rows if not row["events"]}
    return sorted(
        {
            row["sample_id"]
            for row in rows
            if row["sample_id"] not in failed and row["role"] == role and panel in {"", row["panel"]}
        }
    )


# export-gates


def test_flowkit_finds_the_same_events_in_every_population_of_every_panel(run: Study, exported: str) -> None:
    rows = read_table(run.path("results/gatingml/check.csv"))
    panels = {inventory(run)[row["sample_id"]]["panel"] for row in rows}
    assert panels == {"count", "treg", "th17"}
    assert {row["events_that_differ"] for row in rows} == {"0"}
    assert f"FlowKit finds the same events in all {len(rows)} populations" in exported
    counted = {
        (row["sample_id"], row["population"]): row["events"]
        for row in read_table(run.path("results/populations.csv"))
        if row["events"] and row["population"] != "root"
    }
    exported_counts = {(row["sample_id"], row["population"]): row["events"] for row in rows}
    # Gates of values that are held back are exported too; populations.csv has no number for them.
    assert counted.items() <= exported_counts.items()


def test_a_tube_that_was_not_gated_has_no_file_and_its_reason_is_told(run: Study, exported: str) -> None:
    files = {path.stem for path in run.path("results/gatingml").glob("*.xml")}
    stained = {row["sample_id"] for row in read_table(run.path("results/populations.csv"))}
    without = sorted(stained - files)
    assert set(gated(run)) <= files
    assert without
    assert f"{len(without)} tubes have no gates" in exported
    reasons = inventory(run)[without[0]]
    printed = done(run, "export-gates", "--sample", without[0], code=2)
    told = reasons["message"] if reasons["status"] == "not_done" else reasons["code"]
    assert f"{without[0]} was not written: it was not gated: {told}" in printed


def test_the_file_says_whose_gates_these_are_how_many_events_they_hold_and_what_is_masked(
    run: Study, exported: str
) -> None:
    name = gated(run, "treg")[0]
    text = run.path("results/gatingml", f"{name}.xml").read_text(encoding="utf-8")
    (root,) = (
        row
        for row in read_table(run.path("results/populations.csv"))
        if (row["sample_id"], row["population"]) == (name, "root")
    )
    assert f'sample_id="{name}"' in text
    assert f'events_kept="{root["events"]}"' in text
    assert f'gating_version="{root["gating_version"]}"' in text
    assert root["subject"] not in text.replace(name, "")


def test_a_program_that_knows_no_mask_finds_the_count_that_the_file_tells_it(
    run: Study, exported: str
) -> None:
    # A tube of which acquisition quality masked events: FlowKit applies the gates to all of them.
    quality = {row["sample_id"]: row for row in read_table(run.path("results/quality.csv"))}
    sheet = {row["sample_id"]: row for row in read_samples(run)}
    name = max(gated(run), key=lambda one: float(quality[one]["removed_percent"]))
    assert float(quality[name]["removed_percent"]) > 1
    path = run.path("results/gatingml", f"{name}.xml")
    told = {
        html.unescape(population): int(events)
        for population, events in re.findall(
            r'<cytotrial:population name="([^"]+)" events="[0-9]+" events_in_file="([0-9]+)"/>',
            path.read_text(encoding="utf-8"),
        )
    }
    found = applied_by_flowkit(path, run.path("resources/demo/fcs", sheet[name]["fcs"]))
    assert told == {population: int(np.count_nonzero(mask)) for population, mask in found.items()}


def test_one_tube_is_written_when_one_is_asked_for_and_the_same_bytes_each_time(
    run: Study, exported: str
) -> None:
    name = gated(run, "th17")[0]
    path = run.path("results/gatingml", f"{name}.xml")
    before = path.read_bytes()
    assert "1 tubes written" in done(run, "export-gates", "--sample", name)
    assert path.read_bytes() == before


def test_an_unknown_tube_is_refused_with_the_nearest_one(run: Study) -> None:
    name = gated(run)[0]
    failed = cytotrial(run, "export-gates", "--sample", name[:-1] + "x")
    assert failed.returncode == 1
    assert "is none that is gated; did you mean '" in failed.stderr


def test_results_that_are_not_those_of_the_files_are_not_exported(run: Study, tmp_path: Path) -> None:
    path = run.path("results/populations.csv")
    text = path.read_text(encoding="utf-8")
    name = gated(run, "treg")[0]
    changed = re.sub(rf"({name},.*?,treg,sample,T cells,live,)\d+", r"\g<1>1", text)
    assert changed != text
    try:
        path.write_text(changed, encoding="utf-8")
        printed = done(run, "export-gates", "--sample", name, code=2)
    finally:
        path.write_text(text, encoding="utf-8")
    assert "populations.csv was changed after it was made" in printed
    assert not run.path("results/gatingml", f"{name}.xml").exists()  # no stale file is left standing
    done(run, "export-gates", "--sample", name)


# agreement


@pytest.fixture(scope="module")
def expert(run: Study, exported: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our gates of the Treg tubes with FOXP3 cut 0.03 higher: an expert who sees fewer Treg."""
    folder = tmp_path_factory.mktemp("expert")
    for name in gated(run, "treg"):
        text = run.path("results/gatingml", f"{name}.xml").read_text(encoding="utf-8")
        (cut,) = re.findall(r'gating:id="FOXP3_x002B_".*?gating:min="([0-9.]+)"', text, flags=re.DOTALL)
        higher = text.replace(f'gating:min="{cut}"', f'gating:min="{float(cut) + 0.03!r}"')
        (folder / f"{name}.xml").write_text(higher, encoding="utf-8")
    return folder


def tubes_table(study: Study, name: str = "agreement") -> list[dict[str, str]]:
    return read_table(study.path("results", f"{name}.tubes.csv"))


def test_a_run_agrees_with_its_own_gates_in_every_event(run: Study, exported: str) -> None:
    done(run, "agreement", "results/gatingml", "--panel", "th17")
    rows = tubes_table(run)
    assert {row["sample_id"] for row in rows} >= set(gated(run, "th17"))
    assert {row["f1"] for row in rows if row["f1"]} == {"1"}
    assert {row["difference"] for row in rows if row["difference"]} == {"0"}


def test_an_expert_who_cuts_higher_sees_fewer_cells_and_flowkit_counts_the_same(
    run: Study, expert: Path
) -> None:
    printed = done(run, "agreement", str(expert))
    rows = {(row["sample_id"], row["population"]): row for row in tubes_table(run)}
    sheet = {row["sample_id"]: row for row in read_samples(run)}
    for name in gated(run, "treg"):
        row = rows[name, "FOXP3+"]
        found = applied_by_flowkit(expert / f"{name}.xml", run.path("resources/demo/fcs", sheet[name]["fcs"]))
        assert int(row["manual_events_in_file"]) == int(np.count_nonzero(found["FOXP3+"]))
        assert int(row["manual_events"]) < int(row["events"])
        assert float(row["recall"]) == 1.0  # the expert's are all among ours
        assert float(row["precision"]) == pytest.approx(int(row["manual_events"]) / int(row["events"]))
        assert float(rows[name, "CD4+"]["f1"]) == 1.0
    summary = {row["population"]: row for row in read_table(run.path("results/agreement.csv"))}
    assert float(summary["FOXP3+"]["bias"]) > 0
    assert float(summary["CD4+"]["bias"]) == 0
    assert summary["Treg"]["of"] == "CD4+"  # the denominator of the parameter, not the nearest parent
    assert "treg: Treg (per cent of CD4+)" in printed


def read_samples(study: Study) -> list[dict[str, str]]:
    lines = study.path("resources/demo/sheets/samples.tsv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"), strict=False)) for line in lines[1:]]


def test_a_requirement_that_is_missed_ends_with_exit_code_2(run: Study, expert: Path) -> None:
    printed = done(run, "agreement", str(expert), "--min-f1", "0.999", code=2)
    assert "FOXP3+" in printed
    assert "F1 too low" in printed
    verdicts = {row["population"]: row["verdict"] for row in read_table(run.path("results/agreement.csv"))}
    assert (verdicts["CD4+"], verdicts["FOXP3+"]) == ("pass", "F1 too low")


def test_the_page_goes_where_it_is_asked_to_and_its_tables_beside_it(run: Study, expert: Path) -> None:
    name = gated(run, "treg")[0]
    done(run, "agreement", str(expert), "--tubes", name, "--output", "results/one.html")
    assert {row["sample_id"] for row in tubes_table(run, "one")} == {name}
    assert run.path("results/one.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_populations_of_other_names_are_compared_as_the_map_says(run: Study, expert: Path) -> None:
    name = gated(run, "treg")[0]
    mapped = ("--map", "CD4+=FOXP3+")  # no expert means this; F1 tells
    done(run, "agreement", str(expert), "--tubes", name, *mapped)
    rows = {row["population"]: row for row in tubes_table(run)}
    assert rows["CD4+"]["manual_population"] == "FOXP3+"
    assert float(rows["CD4+"]["f1"]) < 0.3


def test_names_that_fit_nothing_are_refused_with_what_they_may_mean(run: Study, expert: Path) -> None:
    name = gated(run, "treg")[0]
    for arguments, message in (
        (("--tubes", name[:-1]), "is none that is gated; did you mean"),
        (("--tubes", gated(run, "th17")[0]), "the manual gating has no"),
        (("--map", "CD4=CD4+"), "we have no population 'CD4'; did you mean 'CD4+'?"),
        (("--map", "CD4+=CD4"), "the manual gating has no population 'CD4'; did you mean 'CD4+'?"),
        (("--map", "CD4+"), "expected OURS=THEIRS"),
        (("--panel", "tregs"), "panel 'tregs' is not in the study; did you mean 'treg'?"),
    ):
        failed = cytotrial(run, "agreement", str(expert), *arguments)
        assert failed.returncode == 1, arguments
        assert message in failed.stderr, failed.stderr


def test_a_manual_gating_of_other_names_is_refused_with_a_map_to_copy(
    run: Study, expert: Path, tmp_path: Path
) -> None:
    name = gated(run, "treg")[0]
    text = (expert / f"{name}.xml").read_text(encoding="utf-8")
    renamed = text
    for identifier in set(re.findall(r'gating:id="([^"]+)"', text)):
        path = f"Gates_x002F_{identifier}"
        for attribute in ("id", "parent_id", "ref"):
            renamed = renamed.replace(f'gating:{attribute}="{identifier}"', f'gating:{attribute}="{path}"')
    (tmp_path / f"{name}.xml").write_text(renamed, encoding="utf-8")
    failed = cytotrial(run, "agreement", str(tmp_path))
    assert failed.returncode == 1
    assert "none of its populations has a name of ours" in failed.stderr
    assert "--map 'CD4+=Gates/CD4+'" in failed.stderr


def test_files_that_belong_to_no_tube_are_told(run: Study, expert: Path, tmp_path: Path) -> None:
    name = gated(run, "treg")[0]
    shutil.copy(expert / f"{name}.xml", tmp_path)
    shutil.copy(expert / f"{name}.xml", tmp_path / f"{name}x.xml")
    printed = done(run, "agreement", str(tmp_path), code=2)
    assert f"not compared: the manual gating of {name}x; did you mean '{name}'?" in printed


# compare


@pytest.fixture(scope="module")
def second(run: Study) -> Study:
    """The same trial with FOXP3 cut elsewhere, in results of its own."""
    folder = run.path("config")
    text = (folder / "gating/treg.yaml").read_text(encoding="utf-8")
    found = "channels: [FOXP3, CD25, CD127]\n    find:\n      finder: carried_gate\n"
    assert found in text
    assert "version: 1.2.0" in text
    # The reference's cut lies at 0.42.
    changed = text.replace(found, f"{found}      bounds: [0.2, 0.38]\n")
    changed = changed.replace("version: 1.2.0", "version: 1.3.0")
    (folder / "gating/treg-1.1.yaml").write_text(changed, encoding="utf-8")
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    config = config.replace("config/gating/treg.yaml", "config/gating/treg-1.1.yaml")
    config = config.replace("results: results", "results: results-1.1")
    (folder / "second.yaml").write_text(config, encoding="utf-8")
    other = replace(run, configfile="config/second.yaml")
    other.run()
    return other


def test_a_new_version_of_one_panel_moves_its_values_and_no_others(run: Study, second: Study) -> None:
    printed = done(run, "compare", "results", "results-1.1")
    values = read_table(run.path("results-1.1/compare.values.csv"))
    moved = {row["parameter"] for row in values if row["outcome"] == "moved"}
    assert moved == {"TREGPCD4", "TREGABS", "TH17TREG"}
    rising = [row for row in values if row["parameter"] == "TREGPCD4" and row["outcome"] == "moved"]
    assert all(float(row["difference"]) > 0 for row in rising)  # a lower cut, more Treg
    n_moved = sum(row["outcome"] == "moved" for row in values)
    assert f"{n_moved} of " in printed
    populations = read_table(run.path("results-1.1/compare.populations.csv"))
    assert {row["panel"] for row in populations if row["outcome"] == "moved"} == {"treg"}


def test_every_value_of_the_table_is_that_of_its_run(run: Study, second: Study) -> None:
    done(run, "compare", "results", "results-1.1", "--output", "compared/page.html")
    for folder, column in (("results", "old"), ("results-1.1", "new")):
        counts = read_table(run.path(folder, "dataset/counts.csv"))
        expected = sorted((row["subject"], row["parameter"], row["value"]) for row in counts)
        rows = read_table(run.path("compared/page.values.csv"))
        assert sorted((row["subject"], row["parameter"], row[column]) for row in rows) == expected


def test_the_page_says_what_differs_and_shows_both_pictures_of_a_tube(run: Study, second: Study) -> None:
    done(run, "compare", "results", "results-1.1", "--tubes", "2")
    text = run.path("results-1.1/compare.html").read_text(encoding="utf-8")
    assert "panel treg: FOXP3+.find.arguments.bounds" in text
    versions = r"panel treg: gating version</td>.*?1\.2\.0.*?</td>.*?1\.3\.0.*?</td>"
    assert re.search(versions, text, flags=re.DOTALL)
    assert text.count("gates that moved: FOXP3+") == 2
    assert "old: FOXP3+ in CD4+" in text
    assert "new: FOXP3+ in CD4+" in text


def test_a_run_compared_with_itself_moves_nothing(run: Study) -> None:
    printed = done(run, "compare", "results", "results", "--output", "compared/same.html")
    assert printed.startswith("0 of ")
    assert "0 of 28 medians moved, 0 conclusions" in printed
    assert {row["outcome"] for row in read_table(run.path("compared/same.values.csv"))} <= {"same", "missing"}


def test_the_same_two_runs_give_the_same_bytes(run: Study, second: Study) -> None:
    pages = []
    for _ in range(2):
        done(run, "compare", "results", "results-1.1", "--output", "compared/twice.html")
        pages.append([path.read_bytes() for path in sorted(run.path("compared").glob("twice*"))])
    assert len(pages[0]) == 5
    assert pages[0] == pages[1]


def test_folders_of_another_study_or_of_no_run_are_refused(run: Study, second: Study, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run.path("results"), other)
    counts = other / "dataset" / "counts.csv"
    write_text(counts, counts.read_text(encoding="utf-8").replace("DEMO-IL2,", "DEMO-IL7,"))
    failed = cytotrial(run, "compare", "results", str(other))
    assert failed.returncode == 1
    assert "holds results of study DEMO-IL7, not of DEMO-IL2; nothing was" not in failed.stdout
    assert "holds results of study DEMO-IL7, not of DEMO-IL2" in failed.stderr
    (tmp_path / "empty").mkdir()
    failed = cytotrial(run, "compare", "results", str(tmp_path / "empty"))
    assert failed.returncode == 1
    assert "is no folder of finished results: check/inventory.csv" in failed.stderr


def test_folders_that_share_no_tube_are_refused_though_their_ids_are_alike(
    run: Study, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(run.path("results"), other)
    path = other / "check" / "inventory.csv"
    write_text(path, re.sub(r"\b[0-9a-f]{64}\b", "0" * 64, path.read_text(encoding="utf-8")))
    failed = cytotrial(run, "compare", "results", str(other))
    assert failed.returncode == 1
    assert "no sample_id has the same FCS file in both" in failed.stderr
