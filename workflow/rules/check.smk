# Every row of the sample sheet gets a status: ok, warn, reject or not_done.


rule check_unit:
    input:
        fcs=lambda wildcards: raw(PLAN.units[wildcards.unit]),
    output:
        LAYOUT.checked("{unit}"),
    log:
        LAYOUT.log("check/{unit}"),
    params:
        settings=PLAN.settings_of("check"),
        tubes=lambda wildcards: PLAN.content_of(PLAN.units[wildcards.unit]),
        code=code_of("check"),
    shell:
        "cytotrial check-unit --unit {wildcards.unit:q} 2> {log:q}"


rule inventory:
    input:
        [LAYOUT.checked(unit) for unit in PLAN.units],
    output:
        shown(LAYOUT.inventory, "inventory", "Dataset"),
    log:
        LAYOUT.log("inventory"),
    params:
        code=code_of("check"),
    shell:
        "cytotrial inventory 2> {log:q}"
