# SPDX-License-Identifier: Apache-2.0
"""Plan -> C sources. Nothing is decided here."""

from __future__ import annotations

from tinygen.emitter import cfile
from tinygen.emitter.api import api_header
from tinygen.emitter.cluster import cluster_source
from tinygen.emitter.memory import arena_header, arena_source
from tinygen.emitter.network import network_source
from tinygen.emitter.samples import Samples, samples_header, samples_source
from tinygen.emitter.staging import file_name, l3_image
from tinygen.emitter.weights import weights_header, weights_source
from tinygen.planner import Plan

__all__ = ["Samples", "emit", "emit_binary"]


FORMS = {"one core": network_source, "cluster": cluster_source}
"""`Plan.machine` -> what writes <model>.c."""


def emit(plan: Plan, samples: Samples | None) -> dict[str, str]:
    """File name -> C text of the model's library (and samples); headers lie in cfile.HEADERS."""
    m = plan.model
    files = {
        cfile.header(m): api_header(plan),
        f"{m}.c": cfile.wrap(FORMS[plan.machine](plan)),
        cfile.header(m, "weights"): weights_header(plan),
        f"{m}_weights.c": weights_source(plan),
        cfile.header(m, "arena"): arena_header(plan),
        f"{m}_arena.c": arena_source(plan),
    }
    if samples is not None:
        files[cfile.header(m, "samples")] = samples_header(plan, samples)
        files[f"{m}_samples.c"] = samples_source(plan, samples)
    return files


def emit_binary(plan: Plan) -> dict[str, bytes]:
    """File name -> what a device's memories are filled with."""
    return {} if plan.staging is None else {file_name(plan): l3_image(plan)}
