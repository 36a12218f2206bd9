# One spillover matrix per panel and batch, as text that a person can edit and hand back.


rule compensate:
    input:
        matrix=matrix_file,
        checks=lambda w: checked(PLAN.tubes_for_matrix(w.panel, w.batch)),
        fcs=lambda w: raw(PLAN.tubes_for_matrix(w.panel, w.batch)),
    output:
        matrix=LAYOUT.matrix("{panel}", "{batch}"),
        quality=LAYOUT.matrix_quality("{panel}", "{batch}"),
    log:
        LAYOUT.log("compensate/{panel}.{batch}"),
    params:
        settings=lambda w: PLAN.settings_of("compensate", panel=w.panel),
        tubes=lambda w: PLAN.content_of(PLAN.tubes_for_matrix(w.panel, w.batch)),
        code=code_of("compensate"),
    shell:
        "cytotrial compensate --panel {wildcards.panel:q} "
        "--batch {wildcards.batch:q} 2> {log:q}"
