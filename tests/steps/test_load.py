"""The trial's tables in a real PostgreSQL server, which the tests start and stop themselves."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cytotrial.errors import DatasetError
from cytotrial.files.database import read_database, rows_of_table
from cytotrial.files.postgres import copy_tables
from tests.steps.conftest import DatasetFolder

PASSWORD = "geheim-4711"
VIEWS = ("change_from_baseline", "flagged_tubes", "latest_visit")


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server of one's own, on this machine only."""

    port: int

    def address(self, password: str = PASSWORD) -> str:
        return f"postgresql://trialist:{password}@127.0.0.1:{self.port}/postgres"

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        engine = sa.create_engine(self.address().replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            found = connection.execute(sa.text(query))
            rows = [tuple(row) for row in found] if found.returns_rows else []
        engine.dispose()
        return rows


def binaries() -> Path:
    """Folder of the newest server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: path.parts[4])
    on_path = shutil.which("postgres")
    if not found and not on_path:
        pytest.skip("no PostgreSQL server is installed on this machine (/usr/lib/postgresql/*/bin)")
    return found[-1].parent if found else Path(str(on_path)).parent


def as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root: then it runs as its own user."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("the tests run as root, and there is no user postgres to run the server")
    if shutil.which("runuser") is None:
        pytest.skip("the tests run as root, and there is no runuser to run the server as somebody else")
    return ["runuser", "-u", "postgres", "--"]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    programs, prefix = binaries(), as_somebody()
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        secret = folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        if prefix:
            shutil.chown(folder, "postgres")
            shutil.chown(secret, "postgres")
        run = [*prefix, str(programs / "initdb"), "-D", str(folder / "data"), "-U", "trialist"]
        run += ["-A", "scram-sha-256", "--pwfile", str(secret), "-E", "UTF8", "--no-locale"]
        subprocess.run(run, check=True, capture_output=True, cwd=folder)
        port = free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        control = [*prefix, str(programs / "pg_ctl"), "-D", str(folder / "data")]
        start = [*control, "-w", "-o", options, "-l", str(folder / "log"), "start"]
        subprocess.run(start, check=True, capture_output=True, cwd=folder)
        try:
            yield Server(port)
        finally:
            stop = [*control, "-m", "immediate", "stop"]
            subprocess.run(stop, check=True, capture_output=True, cwd=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_every_table_is_copied_with_its_types_and_every_value(trial: DatasetFolder, server: Server):
    done = trial.command("load", "--to", server.address())
    assert done.exit_code == 0, done.exception
    path = trial.path("results/dataset/trial.duckdb")
    tables, _ = read_database(path)
    for name in tables:
        rows = [row for part in rows_of_table(path, name) for row in part]
        assert sorted(map(repr, server.ask(f'SELECT * FROM demo_il2."{name}"'))) == sorted(map(repr, rows))
        assert f"{name} {len(rows)} rows" in " ".join(done.output.split())
    kinds = dict(
        server.ask(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'demo_il2' AND table_name = 'adcp'"
        )
    )
    assert (kinds["aval"], kinds["adt"], kinds["aseq"], kinds["param"]) == (
        "double precision", "date", "bigint", "text",
    )  # fmt: skip


def test_the_views_answer_as_those_of_the_database_file(trial: DatasetFolder, server: Server):
    import duckdb  # noqa: PLC0415

    trial.command("load", "--to", server.address())
    with duckdb.connect(str(trial.path("results/dataset/trial.duckdb")), read_only=True) as connection:
        for view in VIEWS:
            expected = connection.execute(f"SELECT * FROM {view}").fetchall()
            assert expected
            assert sorted(map(repr, server.ask(f"SELECT * FROM demo_il2.{view}"))) == sorted(
                map(repr, expected)
            )


def test_loading_again_replaces_and_adds_nothing(trial: DatasetFolder, server: Server):
    for _ in range(2):
        assert trial.command("load", "--to", server.address(), "--schema", "again").exit_code == 0
    assert server.ask("SELECT count(*) FROM again.adsl") == [(3,)]


def test_a_schema_of_somebody_else_is_left_alone(trial: DatasetFolder, server: Server):
    server.ask("CREATE SCHEMA precious")
    server.ask("CREATE TABLE precious.adcp AS SELECT 1 AS one")
    done = trial.command("load", "--to", server.address(), "--schema", "precious")
    assert done.exit_code == 1
    assert "schema precious that cytotrial did not make" in str(done.exception)
    assert server.ask("SELECT one FROM precious.adcp") == [(1,)]


def test_a_load_that_fails_half_way_leaves_the_earlier_one(server: Server):
    def rows(name: str) -> Iterator[list[tuple[Any, ...]]]:
        yield [(1,)] if name == "first" else [("no number",)]

    tables = {"first": {"x": "integer"}}
    copy_tables(server.address(), schema="half", tables=tables, rows=rows, views={})
    with pytest.raises(DatasetError):
        copy_tables(
            server.address(),
            schema="half",
            tables={**tables, "second": {"x": "integer"}},
            rows=rows,
            views={},
        )
    assert server.ask("SELECT x FROM half.first") == [(1,)]


def test_a_wrong_password_is_refused_and_never_shown(trial: DatasetFolder, server: Server):
    done = trial.command("load", "--to", server.address("falsch-0815"))
    said = done.output + str(done.exception)
    assert done.exit_code == 1
    assert "password authentication failed" in said
    assert f"trialist@127.0.0.1:{server.port}" in said
    assert "falsch-0815" not in said


def test_the_password_of_a_load_that_succeeds_is_in_no_output_and_no_file(
    trial: DatasetFolder, server: Server
):
    done = trial.command("load", "--to", server.address())
    assert PASSWORD not in done.output
    written = [path for path in trial.path("results").rglob("*") if path.is_file()]
    assert not [path for path in written if PASSWORD.encode() in path.read_bytes()]


def test_a_password_from_the_environment_will_do(
    trial: DatasetFolder, server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    address = f"postgresql://trialist@127.0.0.1:{server.port}/postgres"
    assert trial.command("load", "--to", address).exit_code == 0


def test_a_server_that_is_not_there_is_told_without_the_password(trial: DatasetFolder):
    done = trial.command("load", "--to", f"postgresql://trialist:{PASSWORD}@127.0.0.1:{free_port()}/postgres")
    said = done.output + str(done.exception)
    assert done.exit_code == 1
    assert "Check that the server runs" in said
    assert PASSWORD not in said


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"mysql://u:{PASSWORD}@h/d", "begins with mysql, expected postgresql"),
        (f"u:{PASSWORD}@h/d", "is not understood"),
        (f"postgresql://u:{PASSWORD}@h:port/d", "is not understood"),
    ],
)
def test_an_address_of_another_kind_is_refused_without_showing_it(address: str, said: str):
    with pytest.raises(DatasetError, match=said) as caught:
        copy_tables(address, schema="s", tables={}, rows=lambda _: iter(()), views={})
    assert PASSWORD not in str(caught.value)
    assert "postgresql://user@host:5432/database" in caught.value.hint
