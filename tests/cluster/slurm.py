"""A Slurm cluster of two nodes on one machine, for the time of a test.

Needs the superuser and the Debian packages munge, slurmctld, slurmd and slurm-client. All its files lie in
one folder, but for a link at /etc/slurm/slurm.conf: a job finds its cluster nowhere else. Only what was
started here is ended.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CONF = Path("/etc/slurm/slurm.conf")
NODES = ("n1", "n2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "squeue", "sbatch")
PLUGIN = "snakemake_executor_plugin_slurm"


def why_not() -> str:
    """What a test cluster lacks here; empty if nothing."""
    if os.geteuid() != 0:
        return "only the superuser can start a Slurm cluster"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"Slurm is not installed: {', '.join(missing)} (Debian: munge slurmctld slurmd slurm-client)"
    if importlib.util.find_spec(PLUGIN) is None:
        return "Snakemake's Slurm executor is not installed (pip install 'cytotrial[cluster]')"
    if CONF.exists() or CONF.is_symlink():
        return f"{CONF} is there already: this machine belongs to a cluster"
    return ""


@dataclass(frozen=True)
class Cluster:
    """Two nodes of two cores each."""

    folder: Path

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    def start(self) -> None:
        for name in ("state", "spool/n1", "spool/n2", "log", "run"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "munge").mkdir(mode=0o755)
        key = self.folder / "munge" / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        self.conf.write_text(self._configuration(), encoding="utf-8")
        CONF.parent.mkdir(exist_ok=True)
        CONF.symlink_to(self.conf)
        self._munge(key)
        subprocess.run(["slurmctld", "-f", str(self.conf)], check=True)
        for node in NODES:
            self.start_node(node)
        self._wait_until_idle()

    def start_node(self, node: str) -> None:
        subprocess.run(["slurmd", "-N", node, "-f", str(self.conf)], check=True)

    def kill_node(self, node: str) -> None:
        """A node dies: its daemon and every process of its jobs, at once."""
        daemon = self._pid(f"slurmd.{node}")
        victims = {daemon, *(pid for step in _steps() for pid in _of_node(step, node))}
        for pid in victims:
            _kill(pid, signal.SIGKILL)

    def jobs_on(self, node: str) -> list[str]:
        return _squeue("-w", node, "-t", "R")

    def jobs(self) -> list[str]:
        return _squeue()

    def times_given_back(self, job: str) -> int:
        """How often Slurm took a job back from a node that had died."""
        command = ["scontrol", "show", "job", "--oneliner", job]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return int(told.split("Restarts=")[1].split()[0])

    def stop(self) -> None:
        """End what `start` started; without a controller every snakemake would wait for its answer."""
        subprocess.run(["scancel", *self.jobs()], check=False, capture_output=True)
        for name in (*(f"slurmd.{node}" for node in NODES), "slurmctld", "munged"):
            pid = self._pid(name)
            if pid:
                _kill(pid, signal.SIGTERM)
        if CONF.is_symlink() and CONF.readlink() == self.conf:
            CONF.unlink()

    def logs(self) -> str:
        """The last words of every daemon."""
        files = sorted((self.folder / "log").glob("*.log"))
        return "\n".join(f"{file.name}: {file.read_text(errors='replace')[-2000:]}" for file in files)

    def _pid(self, name: str) -> int:
        file = self.folder / "run" / f"{name}.pid"
        try:
            return int(file.read_text().strip())
        except (OSError, ValueError):
            return 0

    def _munge(self, key: Path) -> None:
        run, log = self.folder / "run", self.folder / "log"
        subprocess.run(
            [
                *("munged", "--force", f"--key-file={key}", f"--socket={run}/munge.socket"),
                *(f"--pid-file={run}/munged.pid", f"--log-file={log}/munged.log"),
                *(f"--seed-file={self.folder}/munge/munge.seed", "--num-threads=2"),
            ],
            check=True,
        )

    def _wait_until_idle(self) -> None:
        for _ in range(240):
            command = ["sinfo", "-h", "-N", "-t", "idle", "-o", "%N"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if len(set(done.stdout.split())) == len(NODES):
                return
            time.sleep(0.5)
        raise RuntimeError(f"the nodes did not come up\n{self.logs()}")

    def _configuration(self) -> str:
        host, port = socket.gethostname().split(".")[0], _free_ports(len(NODES) + 1)
        lines = {
            "ClusterName": "test",
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmctldPort": str(port[0]),
            "AuthType": "auth/munge",
            "CredType": "cred/munge",
            # A job that was given back waits this long before it starts again (120 s otherwise).
            "AuthInfo": f"socket={self.folder}/run/munge.socket,cred_expire=20",
            "SlurmUser": "root",
            "SlurmdUser": "root",
            "CommunicationParameters": "NoCtldInAddrAny,NoInAddrAny",
            "StateSaveLocation": f"{self.folder}/state",
            "SlurmdSpoolDir": f"{self.folder}/spool/%n",
            "SlurmctldPidFile": f"{self.folder}/run/slurmctld.pid",
            "SlurmdPidFile": f"{self.folder}/run/slurmd.%n.pid",
            "SlurmctldLogFile": f"{self.folder}/log/slurmctld.log",
            "SlurmdLogFile": f"{self.folder}/log/slurmd.%n.log",
            # Neither control groups nor systemd are needed: processes are followed in /proc.
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "SwitchType": "switch/none",
            "MpiDefault": "none",
            "PropagateResourceLimits": "NONE",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_CPU_Memory",
            "SlurmdParameters": "config_overrides",
            "SchedulerType": "sched/backfill",
            "SchedulerParameters": "batch_sched_delay=0,sched_interval=2,bf_interval=5",
            "AccountingStorageType": "accounting_storage/none",
            "JobAcctGatherType": "jobacct_gather/linux",
            # Ended jobs stay visible to squeue, which answers for the missing accounting.
            "MinJobAge": "3600",
            "SlurmdTimeout": "10",
            "SlurmctldTimeout": "30",
            "KillWait": "5",
            "ReturnToService": "2",
            "JobRequeue": "1",
        }
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port[1 + i]} "
            "CPUs=4 RealMemory=10000 State=UNKNOWN"
            for i, node in enumerate(NODES)
        ]
        partition = (
            f"PartitionName=main Nodes={','.join(NODES)} Default=YES MaxTime=600 DefaultTime=10 State=UP"
        )
        return "\n".join([*(f"{key}={value}" for key, value in lines.items()), *nodes, partition, ""])


def _squeue(*arguments: str) -> list[str]:
    """Ids of the jobs that run or wait."""
    command = ["squeue", "-h", "-o", "%i", *(arguments or ("-t", "R,PD,CG"))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.split()


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _steps() -> Iterator[int]:
    """Processes that hold a job together."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "comm").read_text().strip()
        except OSError:
            continue
        if name == "slurmstepd":
            yield int(folder.name)


def _of_node(step: int, node: str) -> list[int]:
    """A step and all processes below it, if one of them runs on the node."""
    below = list(_below(step))
    return [step, *below] if any(_runs_on(pid, node) for pid in below) else []


def _below(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield int(child)
            yield from _below(int(child))


def _runs_on(pid: int, node: str) -> bool:
    try:
        return f"SLURMD_NODENAME={node}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
