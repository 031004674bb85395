# SPDX-License-Identifier: Apache-2.0
"""Windows over a plane: what convolution and pooling share."""

from __future__ import annotations

Pair = tuple[int, int]


def outputs(
    size: Pair, kernel: Pair, stride: Pair, dilation: Pair, pads: tuple[int, int, int, int]
) -> Pair:
    """Windows along both axes; pads: top, left, bottom, right."""
    oh, ow = (
        (size[i] + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1
        for i in (0, 1)
    )
    return oh, ow


def within(size: int, kernel: int, stride: int, dilation: int, pad: int, out: int) -> Pair:
    """(taps of all windows along an axis that lie within the image, all taps)."""
    places = [o * stride - pad + tap * dilation for o in range(out) for tap in range(kernel)]
    return sum(0 <= at < size for at in places), len(places)
