"""Whose cells they are: how brightly each population stains, and how that differs in another lab."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cytotrial.demo.cells import ACTIVATION, CD4, NONSPECIFIC, SPECIFIC, Kind, Spread
from cytotrial.demo.chance import generator, lognormal_factor

TREG_MARKERS = ("CD25", "CD127", "FOXP3")


@dataclass(frozen=True, eq=False)
class Biology:
    """Staining by marker and population.

    specific : marker → population → median and spread; others have the non-specific level
    nonspecific : marker → antibody that sticks to any cell
    activation : marker → correlation with a CD4 T cell's state of activation
    """

    specific: Mapping[str, Mapping[Kind, Spread]]
    nonspecific: Mapping[str, Spread]
    activation: Mapping[str, float]


USUAL = Biology(dict(SPECIFIC), dict(NONSPECIFIC), dict(ACTIVATION))


def dimmer_background(biology: Biology, factor: float) -> Biology:
    """The same cells with antibodies that stick less (or, above 1, more) where they do not belong."""
    nonspecific = {
        marker: spread if marker == "Viability" else Spread(spread.median * factor, spread.log_sd)
        for marker, spread in biology.nonspecific.items()
    }
    return replace(biology, nonspecific=nonspecific)


def another_biology(seed: int) -> Biology:
    """Another lab's CD4 T cells: other clones and dyes, other patients.

    Medians of CD25, CD127 and FOXP3 in every CD4 subset are moved by a factor of SD 0.30 (natural
    logarithm, at most 0.6), their spreads by one of SD 0.15 (at most 0.3), and the correlations with
    the state of activation are drawn anew between 0.3 and 0.7; for IL-17A the same. Medians of a marker
    move together by another factor of SD 0.35.
    """
    specific = {marker: dict(spreads) for marker, spreads in SPECIFIC.items()}
    for marker in (*TREG_MARKERS, "IL-17A"):
        rng = generator(seed, "biology", marker)
        brightness = lognormal_factor(rng, log_sd=0.35, limit=0.7)
        for kind in CD4:
            spread = specific[marker].get(kind, NONSPECIFIC[marker])
            own = lognormal_factor(rng, log_sd=0.30, limit=0.6)
            width = lognormal_factor(rng, log_sd=0.15, limit=0.3)
            if kind in specific[marker]:
                specific[marker][kind] = Spread(
                    spread.median * own * brightness, min(spread.log_sd * width, 1.0)
                )
    rng = generator(seed, "biology", "activation")
    activation = {
        marker: math.copysign(float(rng.uniform(0.3, 0.7)), loading) for marker, loading in ACTIVATION.items()
    }
    return Biology(specific, dict(NONSPECIFIC), activation)


@dataclass(frozen=True, eq=False)
class Lab:
    """Where a trial's tubes are stained and acquired.

    shift : factor on how far batches lie apart (logarithm of gain, staining and background)
    biology : whose cells they are
    individual : how far subjects depart from it: SD of the logarithm of the median of CD25, CD127 and
        FOXP3 in each CD4 subset, anew for every draw
    """

    shift: float = 1.0
    biology: Biology = USUAL
    individual: float = 0.0


LAB = Lab()


def individual_factors(names: tuple[str, ...], *, seed: int, log_sd: float) -> dict[str, dict[Kind, float]]:
    """Marker → CD4 subset → factor on its median in whatever draw `names` name."""
    factors: dict[str, dict[Kind, float]] = {}
    for marker in TREG_MARKERS:
        rng = generator(seed, "individual", marker, *names)
        factors[marker] = {kind: lognormal_factor(rng, log_sd=log_sd, limit=2.5 * log_sd) for kind in CD4}
    return factors


def loadings(biology: Biology, marker: str) -> np.ndarray:
    """Correlation of a marker with the state of activation, by population; CD4 T cells only."""
    return biology.activation.get(marker, 0.0) * np.isin(np.arange(len(Kind)), CD4)
