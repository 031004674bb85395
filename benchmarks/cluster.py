# SPDX-License-Identifier: Apache-2.0
"""Attention layers and the example models on a PULP cluster, in GVSoC.

    TINYGEN_PULP_SDK=<script that sets up the SDK> python benchmarks/cluster.py [--update]

Layers: cycles of the second of two inferences (the instruction cache is as warm as it gets), data
and weights from L2 and back, every output compared with the reference. "all bits": multipliers and
attention weights as importers make them; "short": tinygen.passes.short. "all in L1": near.py.
--update writes the tables into both README files.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from bench import between
from fit_cluster import BOARD, all_bits
from graphs import GraphBuilder
from near import FLAG, bring_near, large_l1
from tinygen import reference
from tinygen.graph import Graph
from tinygen.operators import Attention, Fusion
from tinygen.passes import fuse
from tinygen.passes.short import shorten
from tinygen.planner import Options, make_plan
from tinygen.project import (
    Request,
    create_project,
    load_graph,
    new_project,
    plan_model,
    promise,
    random_samples,
)
from tinygen.runner import run
from tinygen.runner.toolchain import PULP_SDK

ROOT = Path(__file__).resolve().parents[1]
SHAPES = ((64, 64, 64, 8), (81, 32, 32, 8), (66, 16, 2, 8), (5, 32, 32, 8))
PAPER = (1_366_790, 1_212_674, 536_512, 36_971)
PAPER_FUSED = (1_250_343, 1_169_943, 536_231, 38_345)
PULP_NN = (3_380_000, 2_720_000, 1_050_000, 95_000)
"""Recorded: the paper's kernels, those for fused weights (its v3), and PULP-NN with its
softmax shared out; all data in L1."""
FORMS: tuple[Fusion, ...] = ("fused-scores", "fused")
RUNS = ROOT / "tests" / "planner" / "cluster_models.json"
MODELS = ("digits", "activity", *(f"paper_shapes/{m}" for m in ("eegformer", "ecgformer")))
MODELS = (*MODELS, "paper_shapes/tinyradar")


def layer(shape: tuple[int, int, int, int]) -> Graph:
    tokens, e, p, h = shape
    b = GraphBuilder((tokens, e), 0, name="mhsa")
    b.add("attention", b.attention(e, p, h))
    return all_bits(b.graph())


def inputs(graph: Graph, count: int) -> list[np.ndarray]:
    return [reference.quantise(graph, x) for x in random_samples(graph, count)]


def measure(graph: Graph, cores: int, near: bool = False) -> int:
    """Cycles of the second of two inferences; both must give the reference's bytes. near: all data
    lie in L1 (near.py)."""
    samples = promise(graph, random_samples(graph, 2), None)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "n"
        create_project(make_plan(graph, BOARD), samples, "pulp-sdk", folder)
        command = [f". {shlex.quote(os.environ[PULP_SDK])} >&2"]
        if near:
            install, sdk = _installed("$(command -v gvrun)"), _installed("$PULP_SDK_HOME")
            large_l1(install.parents[1], Path(scratch) / "gvsoc")
            bring_near(folder, sdk)
            command += [f"export PATH={scratch}/gvsoc/bin:$PATH APP_CFLAGS={FLAG}"]
        command += [f"make -C {folder} clean all run CORES={cores}"]
        done = _shell(" && ".join(command))
        totals = re.findall(r'"equal":true,.*"total":(\d+)', done)
        if len(totals) != 2:
            raise SystemExit(f"{graph.name}: wrong outputs\n{done[-2000:]}")
        return int(totals[1])


def _installed(what: str) -> Path:
    """Where the SDK's script puts it."""
    script = shlex.quote(os.environ[PULP_SDK])
    return Path(_shell(f'. {script} >&2 && readlink -f "{what}"').strip())


def _shell(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    return done.stdout


def difference(graph: Graph, short: Graph) -> float:
    """Mean distance of outputs in LSB, on 16 random inputs."""
    pairs = [(reference.run(graph, x), reference.run(short, x)) for x in inputs(graph, 16)]
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs]))


def layers_tables() -> tuple[str, str]:
    """Unfused layers, and fused ones."""
    plain = [
        "| tokens, features, a head, heads | all bits | all bits, all in L1 | short "
        "| short, all in L1 | short moves outputs by | 1 core, short "
        "| all bits, against the paper's kernels "
        "| short, against the paper's kernels | short, against PULP-NN |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    fused = [
        "| tokens, features, a head, heads | all bits: fused scores | fused | short: fused scores "
        "| fused | fused, all in L1 | parameters | mean error, LSB "
        "| short and fused, against the paper's fused kernels |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for at, shape in enumerate(SHAPES):
        name = ", ".join(map(str, shape))
        graph = layer(shape)
        short = shorten(graph, inputs(graph, 16)).graph
        full, less, one = measure(graph, 8), measure(short, 8), measure(short, 1)
        near = [measure(g, 8, near=True) for g in (graph, short)]
        plain.append(
            f"| {name} | {_beside(full)} | {_beside(near[0], full)} "
            f"| {_beside(less)} | {_beside(near[1], less)} "
            f"| {difference(graph, short):.2f} LSB | {one:,} ({one / less:.2f} x) "
            f"| {PAPER[at] / full:.2f} x | {PAPER[at] / less:.2f} x | {PULP_NN[at] / less:.1f} x |"
        )
        print(plain[-1], flush=True)
        made = {
            (of is short, form): fuse(of, {"attention": form}, inputs(of, 16), of is short)
            for of in (graph, short)
            for form in FORMS
        }
        found = {key: measure(f.graph, 8) for key, f in made.items()}
        both = measure(made[True, "fused"].graph, 8, near=True)
        count = [_params(g) for g in (graph, *(made[False, f].graph for f in FORMS))]
        before, after = zip(*(made[False, f].errors["attention"] for f in FORMS), strict=True)
        every = [_beside(found[key], less if key[0] else full) for key in made]
        fused.append(
            f"| {name} | {' | '.join(every)} | {_beside(both, found[True, 'fused'])} "
            f"| {' / '.join(f'{n:,}' for n in count)} "
            f"| {' / '.join(f'{e:.2f}' for e in (before[0], *after))} "
            f"| {PAPER_FUSED[at] / found[True, 'fused']:.2f} x |"
        )
        print(fused[-1], flush=True)
    return "\n".join(plain) + "\n", "\n".join(fused) + "\n"


def _beside(cycles: int, other: int | None = None) -> str:
    return f"{cycles:,}" + (f" ({100 * cycles / other - 100:+.1f} %)" if other else "")


def _params(graph: Graph) -> int:
    op = graph.nodes[0].op
    assert isinstance(op, Attention)
    return op.params


def run_models(names: Sequence[str]) -> None:
    """Every sample of every example, in both arithmetics -> RUNS."""
    found = json.loads(RUNS.read_text()) if RUNS.exists() else {}
    for name in names:
        for short in (False, True):
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "n"
                new_project(_request(name, short, folder))
                result = run(folder, BOARD, "gvsoc", None, timeout=3000)
            if not result.passed or result.total is None:
                raise SystemExit(f"{name}: wrong outputs")
            found[f"{name} {short}"] = [result.matching, result.samples, result.total]
            print(name, short, *found[f"{name} {short}"], flush=True)
            RUNS.write_text(json.dumps(found, indent=1) + "\n")


def _request(name: str, short: bool, folder: Path | None) -> Request:
    path = ROOT / "example_models" / name
    options = Options(short=short)
    model, samples = path / "model.onnx", path / "samples.npz"
    return Request(BOARD, model, samples, folder, self_test=10_000, options=options)


def models_table() -> str:
    """Of the last runs, with what the planner predicts now."""
    lines = [
        "| model | arithmetic | samples equal | cycles | predicted | at 370 MHz | energy |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for key, (matching, samples, total) in json.loads(RUNS.read_text()).items():
        name, short = key.split()[0], key.endswith("True")
        request = _request(name, short, None)
        assert request.model and BOARD.power
        graph = load_graph(request.model, samples=request.samples)
        plan = plan_model(graph, BOARD, request.options, request.samples).plan
        off = (plan.cycles or 0) / total - 1
        ms = total / BOARD.core.clock_hz * 1e3
        uj = total * BOARD.power.mw_per_mhz / 1e3
        lines.append(
            f"| {name.split('/')[-1]} | {'short' if short else 'all bits'} "
            f"| {matching} of {samples} | {total:,} | {plan.cycles or 0:,} ({100 * off:+.1f} %) "
            f"| {ms:.2f} ms | {uj:.1f} uJ |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the README files")
    parser.add_argument("--only", choices=("layers", "models"))
    parser.add_argument("--again", action="store_true", help="the last runs of the models")
    parser.add_argument("--model", action="append", help="run only these")
    args = parser.parse_args()
    if args.only != "models":
        plain, fused = layers_tables()
        if args.update:
            between(ROOT / "README.md", "cluster", plain)
            between(ROOT / "README.md", "cluster fused", fused)
    if args.only != "layers":
        if not args.again:
            run_models(args.model or MODELS)
        body = models_table()
        if args.update:
            between(ROOT / "benchmarks" / "README.md", "cluster models", body)


if __name__ == "__main__":
    main()
