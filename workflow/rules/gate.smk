# A panel's gating is read once; a job then places and applies it on one unit's tubes.


rule read_gating:
    input:
        gating_files,
    output:
        LAYOUT.strategy("{panel}"),
    log:
        LAYOUT.log("read_gating/{panel}"),
    params:
        settings=lambda w: PLAN.settings_of("read_gating", panel=w.panel),
        code=code_of("read_gating"),
    shell:
        "cytotrial read-gating --panel {wildcards.panel:q} 2> {log:q}"


rule place:
    input:
        gating=LAYOUT.strategy("{panel}"),
        checks=lambda w: checked(gated(w)),
        matrices=matrices,
        fcs=lambda w: fetched(gated(w)),
    output:
        placed=LAYOUT.unit_placed("{panel}", "{unit}"),
        steadiness=LAYOUT.unit_steadiness("{panel}", "{unit}"),
    log:
        LAYOUT.log("place/{panel}.{unit}"),
    params:
        settings=lambda w: PLAN.settings_of("place", panel=w.panel),
        tubes=lambda w: PLAN.content_of(gated(w)),
        code=code_of("place"),
    shell:
        "cytotrial place --panel {wildcards.panel:q} "
        "--unit {wildcards.unit:q} 2> {log:q}"


rule pool:
    input:
        lambda w: [
            LAYOUT.unit_placed(w.panel, unit) for unit in PLAN.units_pooled(w.panel)
        ],
    output:
        [LAYOUT.pool("{panel}", batch) for batch in PLAN.pooled_batches],
    log:
        LAYOUT.log("pool/{panel}"),
    params:
        locked=lambda w: canonical(PLAN.locked_pools(w.panel)),
        code=code_of("pool"),
    shell:
        "cytotrial pool --panel {wildcards.panel:q} 2> {log:q}"


# When it is done, the gating jobs are looked at again: only those whose pools have another
# content than before are run.
checkpoint pool_table:
    input:
        lambda w: [LAYOUT.pool(w.panel, batch) for batch in PLAN.pooled_batches],
    output:
        LAYOUT.pool_table("{panel}"),
    log:
        LAYOUT.log("pool_table/{panel}"),
    params:
        code=code_of("pool"),
    shell:
        "cytotrial pool-table --panel {wildcards.panel:q} 2> {log:q}"


rule gate:
    input:
        gating=LAYOUT.strategy("{panel}"),
        checks=lambda w: checked(gated(w)),
        matrices=matrices,
        first=first_pass,
        pools=pools,
        fcs=lambda w: fetched(gated(w)),
    output:
        quality=LAYOUT.unit_quality("{panel}", "{unit}"),
        gates=LAYOUT.unit_gates("{panel}", "{unit}"),
        populations=LAYOUT.unit_populations("{panel}", "{unit}"),
        pictures=LAYOUT.unit_pictures("{panel}", "{unit}"),
        controls=LAYOUT.unit_tails("{panel}", "{unit}"),
        automatic=LAYOUT.unit_automatic("{panel}", "{unit}"),
        by_hand=LAYOUT.unit_by_hand("{panel}", "{unit}"),
    log:
        LAYOUT.log("gate/{panel}.{unit}"),
    params:
        settings=lambda w: PLAN.settings_of("gate", panel=w.panel),
        by_hand=lambda w: PLAN.overrides_of(w.panel, w.unit),
        tubes=lambda w: PLAN.content_of(gated(w)),
        code=code_of("gate"),
    shell:
        "cytotrial gate --panel {wildcards.panel:q} "
        "--unit {wildcards.unit:q} 2> {log:q}"


rule collect:
    input:
        [LAYOUT.unit_quality(*job) for job in PLAN.gating_jobs],
        [LAYOUT.unit_gates(*job) for job in PLAN.gating_jobs],
        [LAYOUT.unit_populations(*job) for job in PLAN.gating_jobs],
        [LAYOUT.unit_automatic(*job) for job in PLAN.gating_jobs],
        [LAYOUT.unit_by_hand(*job) for job in PLAN.gating_jobs],
    output:
        LAYOUT.quality,
        LAYOUT.joined_gates,
        LAYOUT.joined_populations,
        LAYOUT.automatic,
        LAYOUT.by_hand,
    log:
        LAYOUT.log("collect"),
    params:
        code=code_of("collect"),
    shell:
        "cytotrial collect 2> {log:q}"


rule score:
    input:
        LAYOUT.inventory,
        LAYOUT.quality,
        LAYOUT.joined_gates,
        LAYOUT.joined_populations,
        [LAYOUT.unit_tails(*job) for job in PLAN.gating_jobs],
        [LAYOUT.strategy(panel) for panel in PLAN.gated_panels],
    output:
        LAYOUT.gates,
        LAYOUT.populations,
        LAYOUT.qc_donor,
        shown(LAYOUT.review_scores, "scores", "Gates"),
    log:
        LAYOUT.log("score"),
    params:
        settings=PLAN.settings_of("score"),
        sheets=PLAN.sheets_of("score"),
        code=code_of("score"),
    shell:
        "cytotrial score 2> {log:q}"
