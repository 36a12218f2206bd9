"""The documentation says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from cytotrial.steps.reference import configuration_page


def test_the_reference_of_the_configuration_is_the_one_made_from_the_settings(repository: Path):
    page = (repository / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == configuration_page()


def test_every_link_between_pages_leads_somewhere(repository: Path):
    pages = [*repository.glob("*.md"), *repository.glob("docs/*.md"), *repository.glob("benchmarks/*.md")]
    broken = [
        (page.name, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert broken == []


def test_the_embedded_configuration_is_legal(repository: Path):
    from cytotrial.files.yaml_strict import read_yaml  # noqa: PLC0415
    from cytotrial.settings import load_settings  # noqa: PLC0415

    plain = read_yaml(repository / "config" / "config.yaml")
    assert load_settings(plain, where="config.yaml").study == "DEMO-IL2"


def test_the_table_of_checks_is_the_one_in_the_code(repository: Path):
    from cytotrial.steps.check_dataset import rules  # noqa: PLC0415

    page = (repository / "docs" / "trial-dataset.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| (V\d\d) \| (.*) \|$", page, flags=re.MULTILINE)) == rules()
