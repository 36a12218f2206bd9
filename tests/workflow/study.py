"""A study in a folder of its own, run by the real Snakemake."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Study:
    """A working folder with the workflow, a configuration and FCS files."""

    folder: Path
    configfile: str = "config/config.yaml"

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run snakemake in the folder; 2 cores."""
        command = [str(BIN / "snakemake"), "--cores", "2", "--printshellcmds"]
        if self.configfile != "config/config.yaml":
            command += ["--configfile", self.configfile]
        return subprocess.run(
            [*command, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
                "XDG_CACHE_HOME": str(self.folder / ".cache"),
            },
        )

    def run(self) -> list[str]:
        """Run to the end; the jobs that ran, as `rule` or `rule panel unit`, sorted."""
        done = self.snakemake()
        assert done.returncode == 0, done.stdout + done.stderr
        return jobs_in(done.stdout + done.stderr)

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath(*parts)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file of the study; the text must be there."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new), encoding="utf-8")


def jobs_in(output: str) -> list[str]:
    """The commands that a run printed: `gate treg subject.S001`, `report`; not the manifest that ends it."""
    lines = re.findall(r"Shell command: cytotrial (\S+)(.*?) 2> ", output, flags=re.MULTILINE)
    jobs = [" ".join([name, *re.findall(r"--\S+ (\S+)", rest)]) for name, rest in lines]
    return sorted(job for job in jobs if job != "manifest")


def install_workflow(repository: Path, folder: Path) -> None:
    """Copy the workflow as a user's clone has it; no data, no results."""
    shutil.copy(repository / "Snakefile", folder)
    shutil.copytree(repository / "workflow", folder / "workflow")
    (folder / "profiles").symlink_to("workflow/profiles")
    shutil.copytree(repository / "config", folder / "config")
