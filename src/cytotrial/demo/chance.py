"""Chance that depends on names, never on order: adding a subject changes no other tube."""

from __future__ import annotations

import hashlib
import math
from statistics import NormalDist

import numpy as np

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71)
NEAR_CENTRE = 0.02
TAIL = 0.02


def generator(seed: int, *names: str) -> np.random.Generator:
    """A random generator of its own for whatever `names` name.

    Examples
    --------
    >>> generator(1, "tube", "T1").random() == generator(1, "tube", "T1").random()
    True
    """
    name = "\x1f".join(names).encode()
    words = np.frombuffer(hashlib.blake2b(name, digest_size=16).digest(), dtype="<u4")
    return np.random.default_rng([seed, *(int(word) for word in words)])


def mirrored_normal(index: int, *, dimension: int, seed: int) -> float:
    """A standard normal deviate of a subject, with a median near 0 over the first n subjects for every n.

    Subject 0 has 0, subjects 1 and 2 have ±0.02, and later subjects come in mirrored pairs whose
    size follows a Kronecker sequence (a different irrational step for each dimension). The
    median over any number of first subjects therefore lies within ±0.02, and so does any odd
    function of several dimensions, up to the sum of its slopes.

    Parameters
    ----------
    index : int
        Position of the subject in the trial, from 0.
    dimension : int
        0 to 19: which of the subject's properties.
    seed : int
        Moves the sequence's start.
    """
    if index == 0:
        return 0.0
    pair, side = (index + 1) // 2, 1.0 if index % 2 else -1.0
    if pair == 1:
        return side * NEAR_CENTRE
    start = float(generator(seed, "mirrored", str(dimension)).random())
    place = (start + pair * math.sqrt(PRIMES[dimension])) % 1.0
    return side * NormalDist().inv_cdf(min(max(place, TAIL), 1.0 - TAIL))


def lognormal_factor(rng: np.random.Generator, *, log_sd: float, limit: float) -> float:
    """One factor around 1: e to a normal deviate of SD `log_sd`, kept within ±`limit`."""
    return math.exp(float(np.clip(rng.normal(0.0, log_sd), -limit, limit)))
