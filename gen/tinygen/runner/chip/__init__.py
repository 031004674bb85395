# SPDX-License-Identifier: Apache-2.0
"""Run the image that is flashed on a model of its chip, in Unicorn."""
