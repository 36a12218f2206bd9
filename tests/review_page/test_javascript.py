"""The review page's modules: their own tests, their linter, and that they agree with the Python side."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cytotrial.files.overrides import HEADER, basis_digest, read_overrides
from cytotrial.files.packing import pack_counts
from cytotrial.files.strategy import gate_to_json
from cytotrial.report.review_script import FOLDER, page_script
from tests.files.test_overrides import AUTOMATIC, ENTRIES, FILE, MOVED, chained
from tests.review_page.node import REPOSITORY, answer_of, node

TESTS = sorted(str(path) for path in Path(__file__).parent.glob("*.test.mjs"))


def test_the_modules_pass_their_own_tests():
    done = subprocess.run([node(), "--test", *TESTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(TESTS) >= 4


def test_the_modules_pass_the_linter():
    eslint = REPOSITORY / "node_modules" / ".bin" / "eslint"
    if not eslint.exists():
        pytest.skip("eslint is not installed: `npm ci` in the checkout installs it for development")
    command = [str(eslint), "--max-warnings", "0", "resources/review", "tests/review_page", "benchmarks"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pages_sha_256_is_pythons():
    texts = ["", "abc", "é…😀", *("x" * n for n in (54, 55, 56, 63, 64, 65, 119, 120, 1_000, 70_000))]
    told = answer_of(
        'const { sha256 } = await import("./resources/review/sha256.mjs");'
        "process.stdout.write(JSON.stringify(asked.map(sha256)));",
        texts,
    )
    assert told == [hashlib.sha256(text.encode()).hexdigest() for text in texts]


def test_the_pages_digest_of_what_an_override_rests_on_is_pythons():
    texts = {name: gate_to_json(gate) for name, gate in AUTOMATIC.items()}
    parents = {"T cells": "root"}
    tube = {
        "sha256": FILE,
        "gates": [
            {
                "population": name,
                "parent": parents.get(name, "T cells"),
                "text": text,
                "entry": ENTRIES[name],
                "applied": json.loads(text),
            }
            for name, text in texts.items()
        ],
    }
    told = answer_of(
        'const { basisDigest } = await import("./resources/review/overrides.mjs");'
        "const moved = new Map([['T cells', 'a gate by hand']]);"
        "process.stdout.write(JSON.stringify([basisDigest(asked, 'CD25+', new Map()), "
        "basisDigest(asked, 'Treg', moved)]));",
        tube,
    )
    below = {**texts, "T cells": "a gate by hand"}
    above = {name: below[name] for name in ("T cells", "CD25+", "FOXP3+")}
    assert told == [
        MOVED.old_sha,
        basis_digest("Treg", texts["Treg"], fcs_sha256=FILE, entries=ENTRIES, above=above),
    ]


def test_rows_that_the_page_chains_are_rows_that_the_command_line_reads(tmp_path: Path):
    rows = [replace(MOVED, reason_text=f"größer als {n} µl") for n in range(3)]
    plain = [{column: getattr(row, column) for column in HEADER.split("\t")} for row in rows]
    lines = answer_of(
        'const { chained, HEADER } = await import("./resources/review/overrides.mjs");'
        'const { sha256 } = await import("./resources/review/sha256.mjs");'
        "process.stdout.write(JSON.stringify([HEADER, ...chained(asked, sha256(HEADER))]));",
        plain,
    )
    (tmp_path / "o.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    read = read_overrides(tmp_path / "o.tsv")
    assert [row.reason_text for row in read] == [row.reason_text for row in rows]


def test_rows_that_the_command_line_writes_are_rows_that_the_page_reads():
    lines = [HEADER, *(row.line for row in chained(MOVED, MOVED, MOVED))]
    told = answer_of(
        'const { readRows } = await import("./resources/review/overrides.mjs");'
        "process.stdout.write(JSON.stringify(readRows(asked)));",
        "\n".join(lines) + "\n",
    )
    assert told["problems"] == []
    assert [row["override_id"] for row in told["rows"]] == ["R1.1", "R1.2", "R1.3"]


def test_counts_that_python_packs_are_unpacked_alike():
    counts = np.zeros(70_000, dtype=np.int64)
    counts[[0, 5, 300, 69_999]] = [1, 127, 128, 2**33]
    told = answer_of(
        'const { Numbers } = await import("./resources/review/unpack.mjs");'
        "const found = new Numbers(Buffer.from(asked, 'base64')).sparse();"
        "process.stdout.write(JSON.stringify([[...found.places], [...found.counts]]));",
        base64.b64encode(pack_counts(np.minimum(counts, 2**31))).decode(),
    )
    assert told == [[0, 5, 300, 69_999], [1, 127, 128, 2**31]]


def test_two_modules_that_share_a_name_are_not_put_into_one_script(tmp_path: Path):
    shutil.copytree(FOLDER, tmp_path / "review")
    with (tmp_path / "review" / "gates.mjs").open("a", encoding="utf-8") as stream:
        stream.write("function sharp() {}\n")
    with pytest.raises(ValueError, match="share names: sharp"):
        page_script(tmp_path / "review")


def test_a_module_that_would_end_its_element_is_refused(tmp_path: Path):
    shutil.copytree(FOLDER, tmp_path / "review")
    with (tmp_path / "review" / "gates.mjs").open("a", encoding="utf-8") as stream:
        stream.write('const evil = "</script>";\n')
    with pytest.raises(ValueError, match="which HTML reads as its own"):
        page_script(tmp_path / "review")


def test_the_script_holds_every_module_once_and_no_import():
    script = page_script()
    assert "import {" not in script
    assert "\nexport " not in script
    assert script.count("class Tally") == script.count("function sha256") == 1
