"""Results appear whole or not at all, with a seal, and are read only if they are as they were made."""

from __future__ import annotations

import ast
import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cytotrial.errors import CytotrialError
from cytotrial.files import claim
from cytotrial.files.atomic import is_temporary, moved_into_place, replace_file
from cytotrial.files.seals import SealError, seal_path, sealed_below, sealed_sha256
from cytotrial.files.whole import read_bytes, read_text, whole_file, write_bytes, write_text

MAY_WRITE = {
    "files/atomic.py": "the one place",
    "files/whole.py": "a temporary file that goes the one way",
    "files/claim.py": "in place, and appended to: another machine must not look at an old name",
    "report/drawing.py": "a picture into memory",
    "files/cdisc/xpt.py": "a library writes a temporary file; its bytes, without the clock, go the one way",
    "files/identity.py": "overwrites bytes of a temporary copy",
    "steps/records.py": "Snakemake's own notes",
    "steps/runs.py": "one line more in the history of runs",
}
"""Modules that open a file for writing, and why they may."""


MAY_READ = {
    "steps/code.py": "modules of the package",
    "steps/software.py": "modules of the package",
    "steps/example.py": "the embedded configuration",
    "steps/consistency.py": "a sheet of the user",
    "steps/gate.py": "looks at the first line, and reads the matrix by read_spillover after",
    "steps/records.py": "Snakemake's own notes",
    "steps/runs.py": "the history of runs",
    "steps/manifest.py": "the run's note of its jobs",
    "steps/kept.py": "the run's note of its study, by a digest of its own",
    "report/review.py": "the page's style",
    "report/review_script.py": "the page's modules",
}
"""Modules of steps and report that read a file past its seal, and why they may."""


def test_a_result_has_its_hash_beside_it_in_a_form_that_sha256sum_checks(tmp_path: Path):
    write_text(tmp_path / "counts.csv", "a,b\n1,2\n")
    digest = hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert seal_path(tmp_path / "counts.csv").read_text() == f"{digest}  counts.csv\n"
    assert sealed_sha256(tmp_path / "counts.csv") == digest
    assert sealed_below(tmp_path) == [tmp_path / "counts.csv"]
    assert read_text(tmp_path / "counts.csv") == "a,b\n1,2\n"


@pytest.mark.parametrize("content", [b"a,b\n1,3\n", b"a,b\n", b""], ids=["edited", "cut", "emptied"])
def test_a_result_of_other_bytes_is_refused_with_what_to_do(tmp_path: Path, content: bytes):
    path = tmp_path / "counts.csv"
    write_bytes(path, b"a,b\n1,2\n")
    path.write_bytes(content)
    with pytest.raises(SealError, match=r"was changed after it was made.*cytotrial resume"):
        read_bytes(path)


def test_a_file_put_among_results_is_refused_and_one_elsewhere_is_not(tmp_path: Path):
    write_text(tmp_path / "results" / "ours.csv", "a\n1\n")
    (tmp_path / "results" / "theirs.csv").write_text("a\n2\n")
    (tmp_path / "matrix.csv").write_text("a\n3\n")
    with pytest.raises(SealError, match=r"theirs\.csv has no seal: the workflow did not make it"):
        read_text(tmp_path / "results" / "theirs.csv")
    assert read_text(tmp_path / "matrix.csv") == "a\n3\n"


def test_a_library_that_writes_by_itself_gets_a_name_with_the_right_ending(tmp_path: Path):
    with whole_file(tmp_path / "cp.xpt") as temporary:
        assert temporary.suffix == ".xpt"
        assert is_temporary(temporary)
        temporary.write_bytes(b"HEADER RECORD")
    assert read_bytes(tmp_path / "cp.xpt") == b"HEADER RECORD"
    assert [path for path in tmp_path.rglob("*") if is_temporary(path)] == []


def break_off(temporary: Path) -> None:
    temporary.write_text("half")
    raise RuntimeError


def test_a_failure_while_writing_leaves_the_earlier_file_and_no_half_one(tmp_path: Path):
    path = tmp_path / "counts.csv"
    write_text(path, "before\n")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        break_off(temporary)
    assert read_text(path) == "before\n"
    assert [entry for entry in tmp_path.rglob("*") if is_temporary(entry)] == []


def test_a_writer_that_is_killed_leaves_no_half_file_under_the_final_name(tmp_path: Path):
    path = tmp_path / "counts.csv"
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom cytotrial.files.whole import whole_file\n"
        f"with whole_file(Path({str(path)!r})) as temporary:\n"
        "    temporary.write_bytes(bytes(100_000))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    assert is_temporary(left[0])


def test_two_writers_of_one_name_never_share_a_temporary_one(tmp_path: Path):
    with moved_into_place(tmp_path / "x") as first, moved_into_place(tmp_path / "x") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / "x").read_text() == "1"


def test_a_place_that_cannot_be_written_is_said_without_a_traceback(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CytotrialError, match=r"cannot be written.*cytotrial resume"):
        replace_file(tmp_path / "file" / "below", b"")


def test_the_users_own_files_get_no_seal(tmp_path: Path):
    replace_file(tmp_path / "samples.tsv", b"sample_id\n")
    assert [path.name for path in tmp_path.iterdir()] == ["samples.tsv"]


def test_a_job_that_met_a_broken_seal_writes_nothing_whatever_caught_the_error(tmp_path: Path):
    code = (
        "from pathlib import Path\nfrom cytotrial.files.whole import read_text, write_text\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "write_text(folder / 'in.csv', 'a')\n"
        "(folder / 'in.csv').write_text('b')\n"
        "try:\n    read_text(folder / 'in.csv')\nexcept Exception:\n    pass\n"
        "import os\nos.environ['CYTOTRIAL_RUN'] = 'a-run'\n"
        "write_text(folder / 'out.csv', 'c')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "in.csv was changed after it was made" in done.stderr
    assert not (tmp_path / "out.csv").exists()


def test_a_job_writes_only_while_its_own_run_holds_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cytotrial.files.whole._broken", [])
    file = tmp_path / ".run.json"
    claim.take_claim(file, {"run": "first"})
    monkeypatch.setenv(claim.RUN, "first")
    monkeypatch.setenv(claim.CLAIM, str(file))
    write_text(tmp_path / "a.csv", "a")
    claim.say(file, {"run": "second"})
    with pytest.raises(CytotrialError, match=r"belongs to the run first.*held by second"):
        write_text(tmp_path / "b.csv", "b")
    assert not (tmp_path / "b.csv").exists()


def test_a_folder_is_held_until_the_process_ends_however_it_ends(tmp_path: Path):
    file = tmp_path / ".run.json"
    code = (
        "import time\nfrom pathlib import Path\nfrom cytotrial.files.claim import take_claim\n"
        f"take_claim(Path({str(file)!r}), {{'run': 'x', 'user': 'someone', 'host': 'here', 'process': 1}})\n"
        "print('held', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(CytotrialError, match=r"another run is at work.*someone on here, process 1"):
            claim.take_claim(file, {"run": "y"})
        assert claim.holder(file).startswith("someone on here")
        other.kill()
    assert claim.holder(file) == ""
    claim.take_claim(file, {"run": "y"})
    assert claim.read_claim(file) == {"run": "y"}


def test_nothing_in_the_package_writes_files_but_the_one_place(repository: Path):
    package = repository / "src" / "cytotrial"
    writers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if any(_writes(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert writers - MAY_WRITE.keys() == set()


LIBRARIES = {"to_csv", "to_parquet", "to_excel", "to_html", "to_json", "savefig", "write_xport", "copyfile"}


def _writes(node: ast.AST) -> bool:
    """Whether a call opens a file for writing, or hands a path to a library that does."""
    if not isinstance(node, ast.Call):
        return False
    owner = node.func.value if isinstance(node.func, ast.Attribute) else None
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called in LIBRARIES:
        return bool(node.args) and not _is_safe(node.args[0])
    if called in {"write_text", "write_bytes"} and owner is not None:
        return not _is_safe(owner)
    modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return called == "open" and any(set(mode) & set("wax+") and len(mode) <= 3 for mode in modes)


def test_steps_and_report_read_results_only_with_their_seals(repository: Path):
    package = repository / "src" / "cytotrial"
    modules = [*package.glob("steps/**/*.py"), *package.glob("report/**/*.py")]
    readers = {
        path.relative_to(package).as_posix()
        for path in modules
        if any(_reads(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert readers - MAY_READ.keys() == set()


def _reads(node: ast.AST) -> bool:
    """Whether a call reads a file by itself: a method of a path, or a library that is handed one."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    if node.func.attr in {"read_csv", "read_parquet", "read_json", "read_feather"}:
        return bool(node.args) and not isinstance(node.args[0], ast.Call)
    module = isinstance(node.func.value, ast.Name) and node.func.value.id in {"whole", "stream"}
    return node.func.attr in {"read_text", "read_bytes"} and not module


def _is_safe(target: ast.expr) -> bool:
    """A stream of bytes, or a temporary path that is moved into place after; by the names we give them."""
    return isinstance(target, ast.Name) and target.id in {
        "stream",
        "buffer",
        "temporary",
        "sink",
        "whole",
    }
