# A panel's gating is read once; a job then places and applies it on one unit's tubes.


rule read_gating:
    input:
        lambda w: PLAN.trial.settings.panels[w.panel].gating,
    output:
        LAYOUT.strategy("{panel}"),
    log:
        LAYOUT.log("read_gating/{panel}"),
    params:
        settings=lambda w: PLAN.settings_of("read_gating", panel=w.panel),
        code=code_of("read_gating"),
    shell:
        "cytotrial read-gating --panel {wildcards.panel:q} 2> {log:q}"


rule gate:
    input:
        gating=LAYOUT.strategy("{panel}"),
        checks=lambda w: checked(gated(w)),
        matrices=matrices,
        fcs=lambda w: raw(gated(w)),
    output:
        quality=LAYOUT.unit_quality("{panel}", "{unit}"),
        gates=LAYOUT.unit_gates("{panel}", "{unit}"),
        populations=LAYOUT.unit_populations("{panel}", "{unit}"),
        pictures=LAYOUT.unit_pictures("{panel}", "{unit}"),
    log:
        LAYOUT.log("gate/{panel}.{unit}"),
    params:
        settings=lambda w: PLAN.settings_of("gate", panel=w.panel),
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
    output:
        LAYOUT.quality,
        LAYOUT.gates,
        LAYOUT.populations,
    log:
        LAYOUT.log("collect"),
    params:
        code=code_of("collect"),
    shell:
        "cytotrial collect 2> {log:q}"
