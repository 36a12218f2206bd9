# One spillover matrix per panel and batch, as text that a person can edit and hand back.


rule compensate:
    input:
        matrix=matrix_file,
        checks=lambda w: checked(PLAN.tubes_for_matrix(w.panel, w.batch)),
        fcs=lambda w: fetched(PLAN.tubes_for_matrix(w.panel, w.batch)),
    output:
        matrix=LAYOUT.matrix("{panel}", "{batch}"),
        quality=LAYOUT.matrix_quality("{panel}", "{batch}"),
        pictures=LAYOUT.matrix_pictures("{panel}", "{batch}"),
    log:
        LAYOUT.log("compensate/{panel}.{batch}"),
    params:
        settings=lambda w: PLAN.settings_of("compensate", panel=w.panel, batch=w.batch),
        tubes=lambda w: PLAN.content_of(PLAN.tubes_for_matrix(w.panel, w.batch)),
        code=code_of("compensate"),
    shell:
        "cytotrial compensate --panel {wildcards.panel:q} "
        "--batch {wildcards.batch:q} 2> {log:q}"


rule judge_matrices:
    input:
        matrices=lambda w: [
            LAYOUT.matrix(*one) for one in PLAN.matrices if one[0] == w.panel
        ],
        checks=lambda w: checked(PLAN.tubes_for_slopes(w.panel)),
        fcs=lambda w: fetched(PLAN.tubes_for_slopes(w.panel)),
    output:
        LAYOUT.matrices_compared("{panel}"),
    log:
        LAYOUT.log("judge_matrices/{panel}"),
    params:
        settings=lambda w: PLAN.settings_of("judge_matrices", panel=w.panel),
        tubes=lambda w: PLAN.content_of(PLAN.tubes_for_slopes(w.panel)),
        code=code_of("judge_matrices"),
    shell:
        "cytotrial judge-matrices --panel {wildcards.panel:q} 2> {log:q}"
