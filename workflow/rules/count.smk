# Events become cells per microlitre, and draws become visits.


rule count:
    input:
        LAYOUT.inventory,
        LAYOUT.populations,
        LAYOUT.quality,
        LAYOUT.automatic,
        LAYOUT.by_hand,
    output:
        LAYOUT.specimens,
        LAYOUT.values_by_hand,
    log:
        LAYOUT.log("count"),
    params:
        settings=PLAN.settings_of("count"),
        sheets=PLAN.sheets_of("count"),
        code=code_of("count"),
    shell:
        "cytotrial count 2> {log:q}"


rule dataset:
    input:
        LAYOUT.specimens,
    output:
        LAYOUT.candidates,
        shown(LAYOUT.counts, "counts", "Dataset"),
        LAYOUT.counts_parquet,
        shown(LAYOUT.visit_wide, "visit_wide", "Dataset"),
    log:
        LAYOUT.log("dataset"),
    params:
        settings=PLAN.settings_of("dataset"),
        sheets=PLAN.sheets_of("dataset"),
        code=code_of("dataset"),
    shell:
        "cytotrial dataset 2> {log:q}"
