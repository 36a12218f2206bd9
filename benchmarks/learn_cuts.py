"""Learn the constants of the shipped gating templates from simulated reference trials.

    python benchmarks/learn_cuts.py --seeds 101 102 103

Each trial is simulated with another seed than the demo's, and its labels stand in for the
expert: on every Treg and Th17 tube the *expert's cut* is the one at which as many events are
called wrongly positive as wrongly negative, so that the count is unbiased. Printed are, per
gate, the median over tubes of (cut − negative) / (positive − negative) for `landmark_fraction`
and of cut − mode for `negative_offset`, with their spread over batches.
"""

from __future__ import annotations
