# What went in and what came out, with the hash of every file; the last step of a run.


rule manifest:
    input:
        rules.all.input,
    output:
        LAYOUT.manifest,
    log:
        LAYOUT.log("manifest"),
    params:
        settings=PLAN.settings_of("manifest"),
        tubes=PLAN.content_of(PLAN.trial.tubes),
        code=code_of("manifest"),
    shell:
        "cytotrial manifest 2> {log:q}"
