"""Which code decides a rule's result, as one digest: editing it reruns the rules that depend on it."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

import cytotrial

PACKAGE = Path(cytotrial.__file__).parent

STEPS = {
    "check": "steps/check.py",
    "compensate": "steps/compensate.py",
    "judge_matrices": "steps/judge_matrices.py",
    "read_gating": "steps/strategies.py",
    "place": "steps/place.py",
    "pool": "steps/pool.py",
    "gate": "steps/gate.py",
    "collect": "steps/collect.py",
    "score": "steps/score.py",
    "count": "steps/count.py",
    "dataset": "steps/dataset.py",
    "sdtm": "steps/sdtm.py",
    "adam": "steps/adam.py",
    "define": "steps/define.py",
    "check_dataset": "steps/check_dataset.py",
    "database": "steps/database.py",
    "report": "steps/report.py",
    "review": "steps/review.py",
}
"""Rule → the module of its step."""

_SPECIFICATION = PACKAGE.parents[1] / "resources" / "cdisc"

RESOURCES = {
    "sdtm": _SPECIFICATION,
    "adam": _SPECIFICATION,
    "define": _SPECIFICATION,
    "check_dataset": _SPECIFICATION,
    "report": PACKAGE.parents[1] / "resources" / "report",
    "review": PACKAGE.parents[1] / "resources" / "review",
}
"""Rule → folder of the page templates that it fills, or of the tables that it is driven by."""

PLUMBING = {
    *("steps/plan.py", "steps/layout.py", "steps/trial.py", "steps/code.py"),
    *("files/atomic.py", "files/claim.py", "files/seals.py", "files/whole.py"),
    "files/fingerprints.py",
}
"""Says which jobs there are, hands them their data (which has digests of its own), puts results in place."""


def code_of(rule: str, *, package: Path = PACKAGE) -> str:
    """Digest of a step's module and of every module of the package that it imports, near or far."""
    content = hashlib.sha256()
    for name in sorted(modules_of(STEPS[rule], package=package)):
        content.update(name.encode())
        content.update((package / name).read_bytes())
    for page in sorted(RESOURCES[rule].glob("*")) if rule in RESOURCES else []:
        content.update(page.read_bytes())
    return content.hexdigest()[:16]


def modules_of(start: str, *, package: Path = PACKAGE) -> set[str]:
    """The modules that one module imports from the package, directly and through others, itself included.

    Parameters
    ----------
    start : str
        Path of a module below the package, such as `steps/gate.py`.
    """
    todo, found = [start], set[str]()
    while todo:
        name = todo.pop()
        if name not in found and name not in PLUMBING:
            found.add(name)
            todo += _imported(package / name, package)
    return found


@cache
def _imported(module: Path, package: Path) -> tuple[str, ...]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    names = [
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{cytotrial.__name__}")
        for alias in node.names
    ]
    return tuple(path for module_name, member in names for path in _files(module_name or "", member, package))


def _files(module_name: str, member: str, package: Path) -> list[str]:
    """The files behind `from module_name import member`: a module, or a package and perhaps its member."""
    path = package.joinpath(*module_name.split(".")[1:])
    candidates = [path.with_suffix(".py"), path / "__init__.py", path / f"{member}.py"]
    return [file.relative_to(package).as_posix() for file in candidates if file.is_file()]
