"""What the datasets hold, for programs (Define-XML) and for people (the data dictionary)."""

from __future__ import annotations

from cytotrial.files.cdisc.define_elements import Described
from cytotrial.files.cdisc.define_xml import write_define
from cytotrial.files.cdisc.dictionary import write_dictionary
from cytotrial.files.cdisc.forms import read_dataset
from cytotrial.files.cdisc.specification import read_specification
from cytotrial.steps.plan import Plan


def write_definitions(plan: Plan) -> None:
    """Write define.xml of both folders, and dataset/dictionary.html."""
    specification, settings = read_specification(), plan.trial.settings
    described = []
    for name, folder in (("sdtm", plan.layout.sdtm), ("adam", plan.layout.adam)):
        specs = [spec for spec in specification.datasets.values() if spec.folder == name]
        described.append(
            Described(
                study=settings.study,
                folder=name,
                specs=specs,
                tables={spec.name: read_dataset(folder, spec, "parquet") for spec in specs},
                codelists=specification.codelists,
                qualifiers=specification.qualifiers,
                by_sponsor=settings.cdisc.results_origin == "sponsor",
            )
        )
        write_define(folder / "define.xml", described[-1])
    write_dictionary(plan.layout.dictionary, described)
