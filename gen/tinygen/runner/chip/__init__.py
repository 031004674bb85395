# SPDX-License-Identifier: Apache-2.0
"""Run the image that is flashed on a model of its chip, in Unicorn."""

from tinygen.runner.chip.run import ChipRun, find_images, run_chip

__all__ = ["ChipRun", "find_images", "run_chip"]
