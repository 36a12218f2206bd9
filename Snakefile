# A folder of FCS files becomes a trial dataset. This file is the table of contents;
# each stage has its own file of rules, and each rule is one call of `cytotrial`.

from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/check.smk"
include: "workflow/rules/compensate.smk"
include: "workflow/rules/gate.smk"
include: "workflow/rules/count.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/report.smk"


rule all:
    input:
        LAYOUT.inventory,
        LAYOUT.quality,
        LAYOUT.gates,
        LAYOUT.populations,
        LAYOUT.qc_donor,
        LAYOUT.review_scores,
        LAYOUT.candidates,
        LAYOUT.counts,
        LAYOUT.counts_parquet,
        LAYOUT.visit_wide,
        LAYOUT.dataset_files,
        LAYOUT.checks,
        LAYOUT.database,
        LAYOUT.report,
        LAYOUT.review,
        [LAYOUT.matrix(panel, batch) for panel, batch in PLAN.matrices],
        [LAYOUT.matrix_quality(panel, batch) for panel, batch in PLAN.matrices],
        [LAYOUT.matrices_compared(panel) for panel in PLAN.judged_panels()],


include: "workflow/rules/manifest.smk"


rule run:
    default_target: True
    input:
        LAYOUT.manifest,
