# Two self-contained pages: what was found, and the gates it rests on.


rule report:
    input:
        LAYOUT.inventory,
        LAYOUT.gates,
        LAYOUT.populations,
        LAYOUT.candidates,
        LAYOUT.counts,
        LAYOUT.visit_wide,
        LAYOUT.checks,
        LAYOUT.qc_donor,
        LAYOUT.quality,
        LAYOUT.by_hand,
        LAYOUT.values_by_hand,
        [LAYOUT.unit_quality(*job) for job in PLAN.gating_jobs],
        [LAYOUT.unit_pictures(*job) for job in PLAN.gating_jobs],
        [LAYOUT.matrix_quality(panel, batch) for panel, batch in PLAN.matrices],
        [LAYOUT.matrix_pictures(panel, batch) for panel, batch in PLAN.matrices],
        [LAYOUT.matrices_compared(panel) for panel in PLAN.judged_panels()],
    output:
        shown(LAYOUT.report, "report", "Report"),
        [shown(path, path.name[:2], "Tables") for path in PLAN.summaries],
        [shown(path, "listing", "Tables") for path in LAYOUT.listings],
    log:
        LAYOUT.log("report"),
    params:
        settings=PLAN.settings_of("report"),
        sheets=PLAN.sheets_of("report"),
        code=code_of("report"),
    shell:
        "cytotrial report 2> {log:q}"


rule review:
    input:
        LAYOUT.inventory,
        LAYOUT.gates,
        LAYOUT.populations,
        LAYOUT.joined_populations,
        LAYOUT.review_scores,
        [LAYOUT.strategy(panel) for panel in sorted(PLAN.trial.settings.panels)],
        [LAYOUT.unit_pictures(*job) for job in PLAN.gating_jobs],
    output:
        shown(LAYOUT.review, "review", "Gates"),
    log:
        LAYOUT.log("review"),
    params:
        settings=PLAN.settings_of("review"),
        sheets=PLAN.sheets_of("review"),
        code=code_of("review"),
    shell:
        "cytotrial review 2> {log:q}"
