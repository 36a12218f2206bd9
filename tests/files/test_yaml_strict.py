"""YAML as plain data: what is read, and what is refused with the line and the remedy."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from cytotrial.errors import ConfigError
from cytotrial.files.yaml_strict import plain_scalar, read_yaml


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "config.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_text_numbers_truth_and_nothing_are_read_as_the_core_schema_says(tmp_path: Path) -> None:
    # YAML 1.2.2 section 10.3.2: int, float, bool, null; everything else is text.
    path = written(tmp_path, "a: 12\nb: -0.5\nc: true\nd: ~\ne: CD4+\nf: '0123'\ng: [1, x]\nh: {i: 2.0e+5}\n")
    plain = read_yaml(path)
    assert list(plain.values()) == [12, -0.5, True, None, "CD4+", "0123", [1, "x"], {"i": 200000.0}]
    assert [type(value) for value in plain.values()][:3] == [int, float, bool]


def test_a_file_without_doubtful_scalars_reads_the_same_as_with_the_usual_reader(repository: Path) -> None:
    paths = [
        repository / "config" / "config.yaml",
        *sorted((repository / "config" / "gating").glob("*.yaml")),
    ]
    for path in paths:
        assert read_yaml(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("scalar", "reason"),
    [
        ("no", "truth value"),
        ("On", "truth value"),
        ("0123", "octal"),
        ("0x1F", "decimal"),
        ("0o17", "decimal"),
        ("1_000", "underscores"),
        ("12:30", "base 60"),
        ("2024-01-05", "date"),
        ("2e5", "2.0e\\+5"),
        ("1.5e3", "2.0e\\+5"),
        ("-.5", "a digit, a point"),
        (".nan", "not a finite number"),
        ("-.inf", "not a finite number"),
        ("1.0e+999", "too large"),
        ("1000000000000000000000", "too large"),
        ("<<", "a meaning of its own"),
    ],
)
def test_a_scalar_that_readers_of_yaml_disagree_on_is_refused_with_line_and_remedy(
    tmp_path: Path, scalar: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=f"line 2: .*{reason}"):
        read_yaml(written(tmp_path, f"a: 1\nb: {scalar}\n"))


@pytest.mark.parametrize("scalar", ["no", "0123", "12:30", "2024-01-05", "2e5", ".nan"])
def test_the_same_scalar_in_quotes_is_text(tmp_path: Path, scalar: str) -> None:
    assert read_yaml(written(tmp_path, f'b: "{scalar}"\n')) == {"b": scalar}


@pytest.mark.parametrize(
    "scalar", ["CD4+", "FSC-A", "IL-17A", "W12", "1.0.0", "a:b", "config/gating/treg.yaml", "-"]
)
def test_names_of_the_field_are_text_without_quotes(scalar: str) -> None:
    assert plain_scalar(scalar) == scalar


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: !!python/object/apply:os.system ['true']", "line 1: the tag .* is not allowed"),
        ("a: !secret x", "line 1: the tag"),
        ("a: &x 1\nb: 2", "line 1: the anchor &x"),
        ("a: &x 1\nb: *x", "line 2: the alias \\*x"),
        ("a: {__use_yte__: true}", "line 1: the key __use_yte__ would run expressions"),
        ("a: 1\na: 2", "line 2: the key 'a' is there twice"),
        ("a: {b: 1, b: 1}", "the key 'b' is there twice"),
        ("1: a", "line 1: the key '1' is not text"),
        ("? [a]\n: b", "the key a list or mapping is not text"),
        ("a: 1\n---\nb: 2", "line 2: a second document begins"),
        ("a:\n\tb: 1", "line 2: a tab stands in the indentation; use blanks"),
        ("a: [1, 2", "column [0-9]+: .*expected ',' or ']'"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed"),
        ("", "the file is empty"),
        ("# nothing yet", "the file is empty"),
        ("- a\n- b", "the file holds a list; expected a mapping"),
        ("text", "the file holds a single value"),
        ("a: \x07", "a character that YAML does not allow"),
        ("%TAG ! tag:x,2000:\n---\na: 1", "%TAG is not allowed"),
        (b"a: M\xfcller", "line 1: byte 0xfc is not UTF-8; save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "is UTF-16; save it as UTF-8"),
    ],
)
def test_more_than_plain_data_is_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read_yaml(written(tmp_path, content))


def test_every_problem_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml(written(tmp_path, "a: 0123\na: &x 12:30\n__use_yte__: yes\n"))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'config.yaml'}, 6 problems; nothing was run\n")
    assert [line.split(":")[0].strip() for line in message.splitlines()[1:]] == [
        "line 1", "line 2", "line 2", "line 2", "line 3", "line 3",
    ]  # fmt: skip


def test_nesting_and_size_have_limits(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "a: " + "[" * 29 + "]" * 29))
    with pytest.raises(ConfigError, match="deeper than 30 levels"):
        read_yaml(written(tmp_path, "a: " + "[" * 100_000))
    with pytest.raises(ConfigError, match="more than 10 bytes"):
        read_yaml(written(tmp_path, "a: 1234567890"), max_bytes=10)


def test_a_byte_order_mark_is_tolerated(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, b"\xef\xbb\xbfa: 1\n")) == {"a": 1}


def test_a_file_that_is_not_there_or_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml, 1 problem.*\n.*does not exist"):
        read_yaml(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="not a regular file"):
        read_yaml(tmp_path)


YAML_CASES = {
    "cf_python_object", "cf_yte_expr", "cf_billion_laughs", "cf_dup_key", "cf_octal", "cf_date", "cf_nan",
    "cf_huge", "cf_tab_indent", "cf_empty", "cf_list_top", "cf_two_docs",
}  # fmt: skip
"""The cases that are already wrong as YAML; the others are wrong as a configuration."""


def test_hostile_and_careless_files_are_refused_and_good_ones_are_read(shared: Path) -> None:
    with (shared / "badinput" / "expected.csv").open(encoding="utf-8", newline="") as stream:
        cases = [row for row in csv.DictReader(stream) if row["kind"] == "config"]
    for case in cases:
        path = shared / "badinput" / case["file"]
        if case["case"] in YAML_CASES:
            with pytest.raises(ConfigError, match=path.name):
                read_yaml(path)
        else:
            assert "samples" in read_yaml(path)
    assert {case["case"] for case in cases} > YAML_CASES
