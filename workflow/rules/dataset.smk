# The trial dataset in the forms that trials use, its checks, and one database for questions.


rule sdtm:
    input:
        LAYOUT.candidates,
        LAYOUT.inventory,
        LAYOUT.gates,
        LAYOUT.populations,
    output:
        LAYOUT.sdtm_files,
    log:
        LAYOUT.log("sdtm"),
    params:
        settings=PLAN.settings_of("sdtm"),
        sheets=PLAN.sheets_of("sdtm"),
        code=code_of("sdtm"),
    shell:
        "cytotrial sdtm 2> {log:q}"


rule adam:
    input:
        LAYOUT.candidates,
        LAYOUT.sdtm_files,
    output:
        LAYOUT.adam_files,
    log:
        LAYOUT.log("adam"),
    params:
        settings=PLAN.settings_of("adam"),
        sheets=PLAN.sheets_of("adam"),
        code=code_of("adam"),
    shell:
        "cytotrial adam 2> {log:q}"


rule define:
    input:
        LAYOUT.sdtm_files,
        LAYOUT.adam_files,
    output:
        LAYOUT.define_files,
    log:
        LAYOUT.log("define"),
    params:
        settings=PLAN.settings_of("define"),
        code=code_of("define"),
    shell:
        "cytotrial define 2> {log:q}"


rule check_dataset:
    input:
        LAYOUT.dataset_files,
        LAYOUT.counted_files,
        fcs=fetched(PLAN.trial.tubes),
    output:
        shown(LAYOUT.checks, "checks", "Dataset"),
    log:
        LAYOUT.log("check_dataset"),
    params:
        settings=PLAN.settings_of("check_dataset"),
        sheets=PLAN.sheets_of("check_dataset"),
        code=code_of("check_dataset"),
    shell:
        "cytotrial check-dataset --record 2> {log:q}"


rule database:
    input:
        LAYOUT.checks,
        LAYOUT.adam_files,
        LAYOUT.counted_files,
    output:
        LAYOUT.database,
    log:
        LAYOUT.log("database"),
    params:
        settings=PLAN.settings_of("database"),
        sheets=PLAN.sheets_of("database"),
        code=code_of("database"),
    shell:
        "cytotrial database 2> {log:q}"
