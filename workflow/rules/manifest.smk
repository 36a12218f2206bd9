# What went in and what came out, with the hash of every file; the last step of a run. It tells the
# software too, so it is made again when any of that changes.

from cytotrial.settings import digest
from cytotrial.steps.software import software


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
        software=digest(software()),
    shell:
        "cytotrial manifest 2> {log:q}"
