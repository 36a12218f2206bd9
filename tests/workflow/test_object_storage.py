"""FCS files in S3-compatible storage: the same bytes, and only the files of the running job are local."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.faults import Contents, cytotrial, refused, results_in
from tests.workflow.few import install_few, read_sheet, write_sheet
from tests.workflow.study import Study

BUCKET = "trial"


def _lacks() -> str:
    for module in ("snakemake_storage_plugin_s3", "moto", "flask", "boto3"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed (pip install 'cytotrial[s3]' 'moto[server,s3]')"
    return ""


pytestmark = pytest.mark.skipif(bool(_lacks()), reason=_lacks() or "all there")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a storage server on this machine, for the time of the tests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def storage(server: str) -> Iterator[Any]:
    """A client with an empty bucket; the environment says where the storage is, as it does for users."""
    import boto3  # noqa: PLC0415

    named = {"ENDPOINT_URL": server, "ACCESS_KEY": "someone", "SECRET_KEY": "a-secret-of-the-test"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in named.items():
            patch.setenv(f"SNAKEMAKE_STORAGE_S3_{name}", value)
        client = boto3.client(
            "s3",
            endpoint_url=server,
            region_name="us-east-1",
            aws_access_key_id="someone",
            aws_secret_access_key="a-secret-of-the-test",
        )
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture(scope="module")
def stored(
    storage: Any, tiny_demo: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Study:
    """The few tubes with every FCS file in the bucket and none on this machine; one file is missing."""
    study = install_few(tiny_demo, repository, tmp_path_factory.mktemp("stored"))
    raw = study.path("resources/demo/fcs")
    _pin(study.path("resources/demo/sheets/samples.tsv"), raw)
    for path in sorted(raw.rglob("*.fcs")):
        storage.upload_file(str(path), BUCKET, f"raw/{path.relative_to(raw).as_posix()}")
    shutil.rmtree(raw)
    study.edit("config/config.yaml", "fcs_dir: resources/demo/fcs", f"fcs_dir: s3://{BUCKET}/raw")
    return study


def _pin(sheet: Path, raw: Path) -> None:
    """Write the SHA-256 of every file into the sheet."""
    rows = read_sheet(sheet)
    for row in rows:
        row["sha256"] = hashlib.sha256((raw / row["fcs"]).read_bytes()).hexdigest() if row["fcs"] else ""
    write_sheet(sheet, rows)


def local_files(study: Study) -> list[Path]:
    return [path for path in study.path(".snakemake/storage").rglob("*.fcs") if path.is_file()]


def test_the_dataset_is_that_of_files_on_disk_and_no_file_is_left_on_this_machine(
    stored: Study, undisturbed: Contents
):
    done = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1"],
        cwd=stored.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    most = 0
    while done.poll() is None:
        most = max(most, len(local_files(stored)))
        time.sleep(0.05)
    assert done.stdout is not None
    said = done.stdout.read()
    assert done.returncode == 0, said
    assert results_in(stored) == undisturbed
    assert local_files(stored) == []
    n_files = len(stored.path("resources/demo/sheets/samples.tsv").read_text().splitlines()) - 1
    assert 0 < most < n_files
    assert "a-secret-of-the-test" not in said
    assert cytotrial(stored, "verify").returncode == 0
    assert stored.run() == []


def test_an_object_that_was_replaced_is_seen_and_rejected_for_its_hash(stored: Study, storage: Any):
    key = next(
        entry["Key"]
        for entry in storage.list_objects_v2(Bucket=BUCKET, Prefix="raw")["Contents"]
        if "S001" in entry["Key"]
    )
    before = storage.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    storage.put_object(Bucket=BUCKET, Key=key, Body=before[:-9] + bytes([before[-9] ^ 1]) + before[-8:])
    try:
        said = refused(cytotrial(stored, "verify"))
        assert f"s3://{BUCKET}/{key}: was changed since" in said
        assert "check-unit subject.S001" in stored.run()
        inventory = stored.path("results/check/inventory.csv").read_text(encoding="utf-8")
        assert "SHA256_DIFFERS" in inventory
    finally:
        storage.put_object(Bucket=BUCKET, Key=key, Body=before)


def test_a_missing_object_rejects_its_tube_and_storage_out_of_reach_stops_the_run(
    stored: Study, storage: Any, undisturbed: Contents, monkeypatch: pytest.MonkeyPatch
):
    key = next(
        entry["Key"]
        for entry in storage.list_objects_v2(Bucket=BUCKET, Prefix="raw")["Contents"]
        if "S002" in entry["Key"]
    )
    before = storage.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    storage.delete_object(Bucket=BUCKET, Key=key)
    stored.run()
    assert "FILE_MISSING" in stored.path("results/check/inventory.csv").read_text(encoding="utf-8")
    storage.put_object(Bucket=BUCKET, Key=key, Body=before)
    stored.run()
    assert results_in(stored) == undisturbed
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    told = refused(stored.snakemake())
    assert f"s3://{BUCKET}/raw cannot be listed" in told


def test_files_in_storage_need_their_hash_in_the_sheet(stored: Study):
    sheet = stored.path("resources/demo/sheets/samples.tsv")
    text = sheet.read_text(encoding="utf-8")
    try:
        write_sheet(sheet, [{**row, "sha256": ""} for row in read_sheet(sheet)])
        told = refused(stored.snakemake())
        assert "files in object storage need their sha256" in told
    finally:
        sheet.write_text(text, encoding="utf-8")
