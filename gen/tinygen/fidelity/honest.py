# SPDX-License-Identifier: Apache-2.0
"""Is a quantised model worth anything, and are its samples fit to calibrate with?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTLIER = 8.0
"""Times the usual largest value, beyond which one sample spoils the scale for all others."""
WORTHLESS_DB, POOR_DB = 3.0, 15.0
"""Signal to noise of the outputs: hardly more signal than noise; less than 8 bits should give."""


@dataclass(frozen=True)
class Verdict:
    """warnings: sentences.  worthless: why the result should not be written, or nothing."""

    warnings: tuple[str, ...]
    worthless: str = ""


def fitness(x: NDArray[Any]) -> tuple[Verdict, NDArray[np.bool_]]:
    """Of samples [N, ...]; and which of them are usual."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    reach = np.abs(flat).max(axis=1)
    usual = np.ones(len(x), bool)
    if not reach.any():
        return Verdict((), "all samples are zeros, so that no range can be measured"), usual
    if np.all(flat == flat[0, 0]):
        return Verdict((), f"all samples hold the one value {flat[0, 0]:g}"), usual
    found = []
    middle = float(np.median(reach[reach > 0]))
    far = reach > OUTLIER * middle
    if far.any() and not far.all():
        worst = int(reach.argmax())
        found.append(
            f"sample {worst} reaches {reach[worst]:.4g}, the others {middle:.4g}: its range sets "
            f"the scale for all of them{_more(far)}, so leave it out of the calibration"
        )
        usual = ~far
    empty = np.flatnonzero(reach == 0)
    if empty.size:
        found.append(f"sample {empty[0]} is all zeros{_more(reach == 0)}")
    if len(x) > 1 and np.all(flat == flat[0]):
        found.append(
            f"all {len(x)} samples are the same (range {flat.min():.4g} to {flat.max():.4g})"
        )
    elif len(x) < 8:
        found.append(f"only {len(x)} sample{'s' * (len(x) > 1)}: ranges are those of these alone")
    return Verdict(tuple(found)), usual


def _more(which: NDArray[np.bool_]) -> str:
    count = int(which.sum()) - 1
    return f" (and {count} more such)" if count else ""


def judged(
    before: Verdict,
    usual: NDArray[np.bool_],
    real: NDArray[Any],
    rounded: NDArray[Any],
    accuracies: tuple[float | None, float | None],
) -> Verdict:
    """before: of the samples.  usual: which of them are.  real, rounded: outputs [N, n] of the
    float and the quantised model.  accuracies: theirs, None without labels."""
    warnings = before.warnings
    if before.worthless:
        return before
    a, b = (out[usual].astype(np.float64) for out in (real, rounded))
    signal, noise = np.maximum((a**2).sum(axis=1), 1e-30), ((a - b) ** 2).sum(axis=1)
    ratio = 10 * np.log10(np.median(signal / np.maximum(noise, 1e-12 * signal)))
    varies = float(a.std(axis=0).max()) > 1e-6 * max(1e-30, float(np.abs(a).max()))
    cause = f" ({warnings[0]})" if warnings else ""
    if len(a) > 1 and varies and np.all(b == b[0]):
        return Verdict(warnings, f"its output is the same for every sample{cause}")
    if ratio < WORTHLESS_DB:
        return Verdict(warnings, f"its outputs have {ratio:.1f} dB of signal to noise{cause}")
    float_, int_ = accuracies
    classes = max(2, real.shape[1])
    if float_ is not None and int_ is not None and int_ <= 1 / classes < float_:
        share = f"{100 * int_:.1f} % right, no better than guessing"
        return Verdict(warnings, f"it is {share} (float {100 * float_:.1f} %){cause}")
    if ratio < POOR_DB:
        warnings += (f"its outputs have only {ratio:.1f} dB of signal to noise",)
    return Verdict(warnings)
