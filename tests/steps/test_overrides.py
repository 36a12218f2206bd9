"""`cytotrial overrides check` and `add` on a small study."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cytotrial.errors import ConfigError
from cytotrial.files.fingerprints import sha256_of
from cytotrial.files.overrides import (
    HEADER,
    Override,
    basis_digest,
    blinded_id,
    digest_of_text,
    entry_digests,
    last_digest,
    read_overrides,
    write_overrides,
)
from cytotrial.files.strategy import gate_to_json
from cytotrial.files.tables import write_table
from cytotrial.files.template import read_template
from cytotrial.steps.layout import GATES
from cytotrial.steps.overrides import add_overrides, check_overrides
from cytotrial.terms import Dimension, RectangleGate
from tests.steps.test_trial import CONFIG, SAMPLES, SUBJECTS, VISITS, tsv

TEMPLATE = "version: 1.0.0\npopulations:\n  - {name: CD4+, channels: [CD4], gate: {low: 0.5}}\n"
CONFIG_PATH = Path("config.yaml")
FILE = Path("overrides.tsv")


def threshold(low: float) -> str:
    return gate_to_json(RectangleGate((Dimension("CD4"),), (low,), (None,)))


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of seven tubes with an empty overrides file; T2's FCS file and automatic gate are there."""
    monkeypatch.chdir(tmp_path)
    Path("fcs").mkdir()
    Path("fcs/2.fcs").write_bytes(b"events of T2")
    for name, text in {"samples": SAMPLES, "subjects": SUBJECTS, "visits": VISITS}.items():
        Path(f"{name}.tsv").write_text(tsv(text), encoding="utf-8")
    Path("gating.yaml").write_text(TEMPLATE, encoding="utf-8")
    config = {**CONFIG, "parameters": {}, "overrides": str(FILE)}
    CONFIG_PATH.write_text(yaml.safe_dump(json.loads(json.dumps(config))), encoding="utf-8")
    write_overrides(FILE, ())
    write_gates(0.5)
    return tmp_path


def write_gates(low: float, *, origin: str = "template", sample_id: str = "T2") -> None:
    row = dict.fromkeys(GATES, "")
    row |= {
        "sample_id": sample_id,
        "population": "CD4+",
        "parent": "root",
        "gate": threshold(low),
        "origin": origin,
    }
    write_table(Path("results/gates.csv"), GATES, [row])


def override(**changes: str) -> Override:
    """CD4+ of T2 moved from 0.5 to 0.6."""
    entries = entry_digests(read_template(Path("gating.yaml")))
    digest = basis_digest(
        "CD4+", threshold(0.5), fcs_sha256=sha256_of(Path("fcs/2.fcs")), entries=entries, above={}
    )
    row = Override(
        "R1", "2026-01-01T00:00:00Z", "Ada", "", "", "T2", "CD4+", "move", threshold(0.5), threshold(0.6),
        digest,
        digest_of_text(threshold(0.6)), "TOO_LOW", "cuts the negatives", "N", "treg:1.0.0", "",
    )  # fmt: skip
    return replace(row, **changes)


def export(*rows: Override, after: str) -> Path:
    """An export of the review page."""
    lines, before = [HEADER], after
    for row in rows:
        lines.append(replace(row, prev_row_sha256=before).line)
        before = digest_of_text(lines[-1])
    path = Path("export.tsv")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def add(*rows: Override) -> str:
    return add_overrides(CONFIG_PATH, export(*rows, after=last_digest(read_overrides(FILE))))


def test_an_export_is_added_and_found_to_stand():
    assert add(override()) == "overrides.tsv: 1 of 1 rows are new. The next snakemake applies them."
    checked = check_overrides(CONFIG_PATH)
    assert checked.stale == []
    assert checked.in_words() == ("overrides.tsv: 1 rows, the chain is whole; 1 gates of 1 tubes (1 move)")


def test_the_second_export_of_a_page_adds_only_what_is_new():
    add(override())
    first, second = (
        override(),
        override(override_id="R2", action="accept", new_gate="", new_sha="", reason_code="AGREE"),
    )
    text = add_overrides(CONFIG_PATH, export(first, second, after=digest_of_text(HEADER)))
    assert text.startswith("overrides.tsv: 1 of 2 rows are new")
    assert check_overrides(CONFIG_PATH).in_words().endswith("1 gates of 1 tubes (1 accept)")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"sample_id": "T22"},
            'column sample_id: "T22" is not a tube of the sample sheet; did you mean "T2"?',
        ),
        ({"population": "CD4"}, 'column population: "CD4" is not in the treg gating; did you mean "CD4+"?'),
        ({"template": "count:1.0.0"}, 'column template: "count:1.0.0" is not of the tube\'s panel, treg'),
    ],
)
def test_a_row_about_what_the_study_has_not_is_refused_and_nothing_is_added(
    change: dict[str, str], message: str
):
    with pytest.raises(ConfigError) as error:
        add(override(**change))
    assert message in str(error.value)
    assert read_overrides(FILE) == ()


def test_a_moved_automatic_gate_makes_the_override_stale_and_says_which():
    add(override())
    write_gates(0.55)
    checked = check_overrides(CONFIG_PATH)
    assert len(checked.stale) == 1
    assert "override R1 (tube T2, CD4+): the automatic gate has another place" in checked.in_words()


def test_another_file_or_another_entry_of_the_template_makes_it_stale():
    add(override())
    Path("fcs/2.fcs").write_bytes(b"other events")
    assert len(check_overrides(CONFIG_PATH).stale) == 1
    Path("fcs/2.fcs").write_bytes(b"events of T2")
    assert check_overrides(CONFIG_PATH).stale == []
    Path("gating.yaml").write_text(TEMPLATE.replace("low: 0.5", "low: 0.51"), encoding="utf-8")
    assert len(check_overrides(CONFIG_PATH).stale) == 1


def test_an_override_that_was_applied_is_not_stale_because_the_gate_is_now_its_own():
    add(override())
    write_gates(0.6, origin="override")
    assert check_overrides(CONFIG_PATH).stale == []


def test_without_results_nothing_is_compared_and_that_is_said():
    add(override())
    Path("results/gates.csv").unlink()
    assert "1 not compared with the gates they rest on" in check_overrides(CONFIG_PATH).in_words()


def test_a_blinded_row_is_about_its_tube():
    add(override(sample_id=blinded_id("TRIAL", "T2"), blinded_to_arm="Y"))
    write_gates(0.55)
    assert "has another place" in check_overrides(CONFIG_PATH).in_words()


def test_a_study_that_names_no_overrides_file_is_told_how_to():
    text = CONFIG_PATH.read_text(encoding="utf-8").replace("overrides: overrides.tsv\n", "")
    CONFIG_PATH.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="names no overrides file"):
        check_overrides(CONFIG_PATH)
