"""How the values of a run were worked out, in the words of the report's section on methods."""

from __future__ import annotations

from cytotrial.settings import Settings

ABSOLUTE = {
    "beads": {
        "Absolute counts (BEAD)": "cells / beads acquired × beads per tube / µL of blood; exact conditional "
        "95 % limits.",
    },
    "dual_platform": {
        "Absolute counts (DUAL)": "cells / lymphocytes of the same tube × lymphocytes per µL in the blood "
        "count of the same draw; log-normal 95 % limits with the blood count's error.",
    },
    "volumetric": {
        "Absolute counts (VOL)": "cells / acquired volume × dilution; log-normal 95 % limits with the "
        "volume's error. Masked time takes its share of the volume.",
    },
}
RELATIVE = {
    "Percentages (FRACTION)": "events of the population / events of the named parent; Clopper-Pearson "
    "95 % limits. FRACTION-BACKGROUND subtracts the fraction in the unstimulated tube of the same draw, "
    "not below 0; normal limits, Newcombe's where the CV is above 10 % or the background above a quarter.",
    "Counts across tubes (XTUBE)": "percentage of CD4+ in the stained tube × CD4+ per µL in the count tube "
    "of the same draw; log-normal 95 % limits.",
    "Ratio (RATIO)": "quotient of the two percentages of CD4+: the CD4+ count that both share cancels.",
    "Interval": "counting error, with that of the blood count or of the metered volume where the count "
    "rests on one: how far a value could be off if the same blood were acquired again.",
    "Acquisition": "stretches of time with an unstable rate or signal are masked before gating; a tube that "
    "loses much is flagged.",
}


def methods_of(settings: Settings) -> dict[str, str]:
    """Heading → sentence, for the methods that a configuration uses."""
    return {**ABSOLUTE[settings.counts.method], **RELATIVE, **_errors(settings)}


def _errors(settings: Settings) -> dict[str, str]:
    """What the configuration says about errors that counting cannot see, and about baseline."""
    counts = settings.counts
    beside = f"bead lot {counts.bead_lot_cv_percent:g} %, pipette {counts.pipette_cv_percent:g} % (CV)"
    within = {
        "dual_platform": f"; blood count {counts.cbc_cv_percent:g} % (CV), inside the interval",
        "volumetric": f"; metered volume {counts.volume_cv_percent:g} % (CV), inside the interval",
    }
    day1 = "before" if settings.visits.assume_day1_predose else "after"
    return {
        "Systematic errors": f"{beside}: stated in counts/specimens.csv, in no interval"
        f"{within.get(counts.method, '')}.",
        "Baseline": f"a draw on the day of the first dose without a time of day counts as {day1} it.",
    }
