# One self-contained page.


rule report:
    input:
        LAYOUT.inventory,
        LAYOUT.gates,
        LAYOUT.populations,
        LAYOUT.counts,
        LAYOUT.visit_wide,
        LAYOUT.qc_donor,
        [LAYOUT.unit_pictures(*job) for job in PLAN.gating_jobs],
        [LAYOUT.matrix_quality(panel, batch) for panel, batch in PLAN.matrices],
    output:
        LAYOUT.report,
    log:
        LAYOUT.log("report"),
    params:
        settings=PLAN.settings_of("report"),
        sheets=PLAN.sheets_of("report"),
        code=code_of("report"),
    shell:
        "cytotrial report 2> {log:q}"
