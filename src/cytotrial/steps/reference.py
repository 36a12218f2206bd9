"""The reference page of the configuration, made from the settings themselves."""

from __future__ import annotations

from cytotrial.settings import configuration_table

_HEAD = """# Configuration

`config/config.yaml` is the example that every user copies. It is plain YAML data: no tags, aliases,
duplicate keys or unknown keys; every problem of the file is told at once. Paths are relative to the
folder in which snakemake runs. This page is made from the settings themselves
(`cytotrial settings > docs/configuration.md`).

| key | type | default | meaning |
|---|---|---|---|
"""


def configuration_page() -> str:
    """The whole page, as Markdown."""
    rows = [
        f"| `{key}` | {_escaped(kind)} | {_escaped(default)} | {_escaped(meaning)} |"
        for key, kind, default, meaning in configuration_table()
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
