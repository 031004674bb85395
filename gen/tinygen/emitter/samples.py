# SPDX-License-Identifier: Apache-2.0
"""<model>_samples.c/.h: inputs with the outputs that are promised for them."""

from __future__ import annotations

from dataclasses import dataclass

from tinygen.emitter import cfile
from tinygen.numeric import I8, I32
from tinygen.planner.plan import Plan


@dataclass(frozen=True, eq=False)
class Samples:
    """inputs int8 [N, input size], outputs int8 [N, output size], labels int32 [N] (-1: none).

    Several tensors lie one after the other, and labels are [N, outputs]."""

    inputs: I8
    outputs: I8
    labels: I32


def _shape(plan: Plan) -> str:
    """Of the labels' array: of several outputs one each."""
    up = plan.model.upper()
    return f"[{up}_SAMPLES]" if plan.single else f"[{up}_SAMPLES][{up}_OUTPUTS]"


def samples_header(plan: Plan, samples: Samples) -> str:
    m, up = plan.model, plan.model.upper()
    guard = cfile.guard(m, "samples")
    return (
        cfile.head("Stored samples and the outputs promised for them.", model=m)
        + f"""#ifndef {guard}
#define {guard}

#include "{cfile.header(m)}"

#define {up}_SAMPLES {len(samples.inputs)}

extern const int8_t {m}_sample_inputs[{up}_SAMPLES][{up}_INPUT_SIZE];
extern const int8_t {m}_sample_outputs[{up}_SAMPLES][{up}_OUTPUT_SIZE];
extern const int32_t {m}_sample_labels{_shape(plan)}; /* -1: none */

#endif
"""
    )


def samples_source(plan: Plan, samples: Samples) -> str:
    m, up = plan.model, plan.model.upper()

    def table(what: str, rows: I8, width: str) -> str:
        inner = ",\n".join(f"  {{\n{cfile.numbers(row)}}}" for row in rows)
        return f"\nconst int8_t {m}_sample_{what}[{up}_SAMPLES][{width}] = {{\n{inner}}};\n"

    labels = ",\n".join(
        cfile.numbers(row) if plan.single else f"  {{\n{cfile.numbers(row)}}}"
        for row in (
            [samples.labels] if plan.single else samples.labels.reshape(len(samples.inputs), -1)
        )
    )
    return (
        cfile.head("Stored samples and the outputs promised for them.", model=m)
        + f'#include "{cfile.header(m, "samples")}"\n'
        + table("inputs", samples.inputs, f"{up}_INPUT_SIZE")
        + table("outputs", samples.outputs, f"{up}_OUTPUT_SIZE")
        + f"\nconst int32_t {m}_sample_labels{_shape(plan)} = {{\n{labels}}};\n"
    )
