"""FCS files in S3-compatible object storage: which there are, and whether one was replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from cytotrial.errors import ConfigError, CytotrialError
from cytotrial.files.atomic import replace_file

QUOTE = '"'

LOCAL = Path(".snakemake/storage/s3")
"""Where Snakemake puts the objects of a running job."""


def is_bucket(folder: str) -> bool:
    """Whether a folder lies in object storage.

    Examples
    --------
    >>> is_bucket("s3://trial/raw"), is_bucket("resources/demo/fcs")
    (True, False)
    """
    return folder.startswith("s3://")


def local_folder(url: str) -> Path:
    """Where the files of a folder in object storage lie while a job reads them.

    Examples
    --------
    >>> local_folder("s3://trial/raw").as_posix()
    '.snakemake/storage/s3/trial/raw'
    """
    parsed = urlparse(url)
    return LOCAL / parsed.netloc / parsed.path.strip("/")


def list_objects(url: str) -> dict[str, str]:
    """Path below a folder in object storage → what tells its present object from others.

    Returns
    -------
    dict
        Size and ETag (which changes with the content), as `81336:9e107d9d...`.

    Raises
    ------
    ConfigError
        If the storage cannot be asked: a trial is never run on what an earlier answer said.
    """
    parsed = urlparse(url)
    prefix = f"{parsed.path.strip('/')}/" if parsed.path.strip("/") else ""
    try:
        pages = _client().get_paginator("list_objects_v2").paginate(Bucket=parsed.netloc, Prefix=prefix)
        entries = [entry for page in pages for entry in page.get("Contents", ())]
    except ConfigError:
        raise
    except Exception as error:  # whatever the network or the server says
        raise ConfigError(
            f"fcs_dir: {url} cannot be listed ({type(error).__name__}: {error}).",
            hint="Is the storage running, and are SNAKEMAKE_STORAGE_S3_ENDPOINT_URL and its keys right?",
        ) from None
    return {entry["Key"][len(prefix) :]: _stamp(entry["Size"], entry["ETag"]) for entry in entries}


def _stamp(size: int, etag: str) -> str:
    return f"{size}:{etag.replace(QUOTE, '')}"


def remember_objects(file: Path, objects: Mapping[str, str]) -> None:
    """Keep a listing for the jobs of a run, which need not ask again."""
    replace_file(file, (json.dumps(objects, sort_keys=True, indent=0) + "\n").encode())


def remembered_objects(file: Path) -> dict[str, str]:
    """The listing that the run began with."""
    try:
        listing: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CytotrialError(
            f"{file} cannot be read: which objects there are is not known.", hint="Run snakemake again."
        ) from None
    return listing


def _client() -> Any:
    """A client of the storage that Snakemake's plugin is set to, by the same environment variables."""
    try:
        import boto3  # noqa: PLC0415 (an optional part)
    except ImportError:
        raise ConfigError(
            "fcs_dir lies in object storage, and Snakemake's plugin for it is not installed.",
            hint="pip install 'cytotrial[s3]'",
        ) from None
    named = {"endpoint_url": "ENDPOINT_URL", "region_name": "REGION", "aws_access_key_id": "ACCESS_KEY",
             "aws_secret_access_key": "SECRET_KEY", "aws_session_token": "TOKEN"}  # fmt: skip
    given = {key: os.environ.get(f"SNAKEMAKE_STORAGE_S3_{name}") for key, name in named.items()}
    return boto3.client("s3", **{"region_name": "us-east-1", **{k: v for k, v in given.items() if v}})
