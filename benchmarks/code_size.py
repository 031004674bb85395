# SPDX-License-Identifier: Apache-2.0
"""Measure what the kernels' code takes in flash and on the stack, for the planner.

    python benchmarks/code_size.py            compile every kernel for every core, write the tables
    python benchmarks/code_size.py --check    compare with the tables, write nothing

Every function lies in a section of its own, and relocations say which sections it needs, so the
planner can follow them as the linker does. Stack: GCC's -fstack-usage; of assembly, the largest
push and the largest frame. The network that tinygen writes around the kernels is compiled for the
example models and random encoders under every schedule: its bytes are fitted to the number
of calls, its frame is the largest of all.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from graphs import random_encoder
from tinygen.boards import Board, load_board
from tinygen.emitter import emit
from tinygen.planner import KINDS, Options, Plan, footprint, make_plan
from tinygen.project import load_graph
from tinygen.resources import resource
from tinygen.targets import every_kernel, get_target
from tinygen.targets.measured import measured

ROOT = Path(__file__).resolve().parents[1]
COMPILER = "arm-none-eabi-gcc"
FLAGS = (
    *("-std=c11", "-O3", "-mthumb", "-ffreestanding", "-fno-strict-aliasing", "-fno-common"),
    *("-fno-reorder-functions", "-fno-defer-pop", "-ffunction-sections", "-fdata-sections"),
    *("-fstack-usage", "-DTG_PROFILE"),
)
"""As a project of templates/zephyr is compiled."""

_FPU4 = ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
_FPU5 = ("-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")
CORES = {
    "armv7em": {
        "cortex-m4": _FPU4,
        "cortex-m7": _FPU5,
        "cortex-m33": _FPU5,
        "cortex-m55": ("-mfloat-abi=hard",),
    },
    "portable": {
        "cortex-m0": (),
        "cortex-m0plus": (),
        "cortex-m3": (),
        "cortex-m4": _FPU4,
        "cortex-m7": _FPU5,
        "cortex-m23": (),
        "cortex-m33": _FPU5,
    },
}
MODELS = ("digits", "activity", "paper_shapes/eegformer", "paper_shapes/ecgformer")


@dataclass
class Section:
    """bytes: rounded up to its alignment.  uses: keys of the sections that it needs."""

    bytes: int
    stack: int
    uses: set[str] = field(default_factory=set)


Sections = dict[str, Section]


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def compile_one(source: Path, flags: tuple[str, ...], out: Path, *includes: Path) -> Path:
    kernels = resource("kernels")
    folders = [f"-I{f}" for f in (kernels / "include", kernels / "src", kernels, *includes)]
    run(COMPILER, *FLAGS, *flags, *folders, "-c", source, "-o", out)
    return out


def frames(obj: Path) -> dict[str, int]:
    """Section of a function -> bytes on the stack."""
    found: dict[str, int] = {}
    for line in obj.with_suffix(".su").read_text().splitlines():
        place, size, kind = line.split("\t")
        assert kind in ("static", "dynamic,bounded"), line
        found[f".text.{place.rsplit(':', 1)[1]}"] = int(size)
    return found


def assembly_frame(listing: str) -> int:
    """The largest push and the largest frame below it."""
    pushes = re.findall(r"(?:push|stmdb)\s+(?:sp!, )?\{([^}]*)\}", listing)
    lowered = re.findall(r"sub(?:\.w|w)?\s+sp,\s*(?:sp,\s*)?#(\d+)", listing)
    saved = max((4 * len(registers.split(",")) for registers in pushes), default=0)
    return saved + max((int(n) for n in lowered), default=0)


def read_object(obj: Path, name: str) -> tuple[Sections, dict[str, str], dict[str, set[str]]]:
    """(sections, symbol -> key, key -> symbols of other files).  Functions that call through a
    pointer use the pseudo-symbol *."""
    sections: Sections = {}
    defined: dict[str, str] = {}
    outside: dict[str, set[str]] = {}
    known = frames(obj)
    with obj.open("rb") as stream:
        elf = ELFFile(stream)
        keys: dict[int, str] = {}
        for i, s in enumerate(elf.iter_sections()):
            if not s["sh_flags"] & 2 or not s["sh_size"]:
                continue
            assert s.name.startswith((".text", ".rodata")), f"{obj}: {s.name} is not constant"
            key = keys[i] = f"{name}:{s.name.removeprefix('.text.')}"
            align = max(4, s["sh_addralign"])
            listing = "" if s.name.startswith(".rodata") else disassemble(obj, s.name)
            frame = known.get(s.name, assembly_frame(listing))
            sections[key] = Section(-(-s["sh_size"] // align) * align, frame)
            outside[key] = {"*"} if re.search(r"\b(blx|bx)\s+r(?!14)", listing) else set()
        table = elf.get_section_by_name(".symtab")
        for symbol in table.iter_symbols():
            if symbol["st_shndx"] in keys and symbol["st_info"]["bind"] == "STB_GLOBAL":
                defined[symbol.name] = keys[symbol["st_shndx"]]
        for s in elf.iter_sections():
            if s["sh_type"] != "SHT_REL" or s["sh_info"] not in keys:
                continue
            for relocation in s.iter_relocations():
                symbol = table.get_symbol(relocation["r_info_sym"])
                where = symbol["st_shndx"]
                if where in keys:
                    sections[keys[s["sh_info"]]].uses.add(keys[where])
                elif symbol.name:
                    outside[keys[s["sh_info"]]].add(symbol.name)
    for key, section in sections.items():
        section.uses.discard(key)
    return sections, defined, outside


def disassemble(obj: Path, section: str) -> str:
    return run("arm-none-eabi-objdump", "-d", "-j", section, obj)


def helper(symbol: str, flags: tuple[str, ...], scratch: Path) -> Section:
    """A function of libgcc with all that it calls: the sum of their frames."""
    out = scratch / f"{symbol}.elf"
    link = ("-nostdlib", f"-Wl,-e,{symbol},-u,{symbol},--gc-sections", "-lgcc")
    run(COMPILER, "-mthumb", *flags, *link, "-o", out)
    text = re.search(r"^\s*(\d+)", run("arm-none-eabi-size", out).splitlines()[1])
    assert text is not None
    functions = run("arm-none-eabi-objdump", "-d", out).split("\n\n")
    return Section(int(text[1]), sum(assembly_frame(f) for f in functions))


def kernels(target_name: str, flags: tuple[str, ...], scratch: Path) -> Sections:
    """Every section of every file of a target."""
    targets = [get_target(target_name)]
    targets += [t for t in (targets[0].compact(),) if t]
    files = sorted({f for t in targets for k in every_kernel() for f in t.sources(k)})
    sections: Sections = {}
    defined: dict[str, str] = {}
    outside: dict[str, set[str]] = {}
    for file in files:
        obj = scratch / file.replace("/", "_").replace(".c", ".o")
        compile_one(resource("kernels") / "src" / file, flags, obj)
        some, names, needs = read_object(obj, file)
        sections |= some
        defined |= names
        outside |= needs
    pointed = {key for key, s in sections.items() if ":.rodata" in key and s.uses}
    for key, symbols in outside.items():
        for symbol in sorted(symbols):
            if symbol == "*":
                sections[key].uses |= pointed
            elif symbol in defined:
                sections[key].uses.add(defined[symbol])
            elif symbol.startswith("__"):
                name = f"libgcc:{symbol}"
                if name not in sections:
                    sections[name] = helper(symbol, flags, scratch)
                sections[key].uses.add(name)
            else:
                assert symbol in ("memcpy", "memset"), symbol  # the C library's
    return sections


def plans(target: str, cpu: str) -> list[Plan]:
    """Example models and random encoders of one to four blocks, under every schedule."""
    board: Board = load_board("mps2_an386")
    core = board.core.model_copy(update={"target": target, "cpu": cpu})
    board = board.model_copy(update={"core": core})
    every = [load_graph(ROOT / "example_models" / m / "model.onnx") for m in MODELS]
    for blocks in (1, 2, 3, 4):
        for token in (True, False):
            every.append(random_encoder(20 * blocks, 24, 6, 4, blocks=blocks, class_token=token))
    return [make_plan(g, board, Options(attention=kind)) for g in every for kind in KINDS]


def network(plans: list[Plan], flags: tuple[str, ...], scratch: Path) -> dict[str, Any]:
    """Bytes of <model>_run = fixed + call * calls; its largest frame."""
    rows, measured, stack, beside = [], [], 0, 0
    for plan in plans:
        for name, text in emit(plan, None).items():
            (scratch / name).parent.mkdir(exist_ok=True)
            (scratch / name).write_text(text)
        source = scratch / f"{plan.model}.c"
        obj = compile_one(source, flags, source.with_suffix(".o"), scratch)
        with obj.open("rb") as stream:
            elf = ELFFile(stream)
            measured.append(elf.get_section_by_name(f".text.{plan.model}_run")["sh_size"])
            argmax = elf.get_section_by_name(f".text.{plan.model}_argmax")["sh_size"]
        beside = max(beside, argmax)
        stack = max(stack, frames(obj)[f".text.{plan.model}_run"])
        rows.append([1.0, footprint.calls(plan.steps)])
    a, y = np.array(rows), np.array(measured, float)
    fit = np.linalg.lstsq(a / y[:, None], np.ones(len(y)), rcond=None)[0]
    error = np.abs(a @ fit / y - 1).max()
    print(f"  network: largest error of {len(y)} plans {error:.1%} ({y.min():.0f}-{y.max():.0f} B)")
    fixed, call = float(fit[0]) + beside, float(fit[1])
    return {"fixed": round(fixed, 1), "call": round(call, 1), "stack": stack}


def measure(target: str, cpu: str, flags: tuple[str, ...]) -> dict[str, Any]:
    print(f"{target} on {cpu}")
    flags = (f"-mcpu={cpu}", *flags)
    with tempfile.TemporaryDirectory() as scratch:
        sections = kernels(target, flags, Path(scratch))
        return {
            "network": network(plans(target, cpu), flags, Path(scratch)),
            "sections": {
                key: [s.bytes, s.stack, *sorted(s.uses)] for key, s in sorted(sections.items())
            },
        }


def text(table: dict[str, Any]) -> str:
    """One section a line."""
    cores = []
    for cpu, core in table["cores"].items():
        lines = ",\n".join(
            f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in core["sections"].items()
        )
        cores.append(
            f'  {json.dumps(cpu)}: {{\n   "network": {json.dumps(core["network"])},\n'
            f'   "sections": {{\n{lines}\n   }}\n  }}'
        )
    return (
        f'{{\n "compiler": {json.dumps(table["compiler"])},\n "cores": {{\n'
        + ",\n".join(cores)
        + "\n }\n}\n"
    )


def compiler() -> str:
    return f"{COMPILER} {run(COMPILER, '-dumpfullversion').strip()}, -O3"


def total(core: dict[str, Any]) -> int:
    return sum(s[0] for s in core["sections"].values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    stale = False
    for target, cores in CORES.items():
        table = {
            "compiler": compiler(),
            "cores": {cpu: measure(target, cpu, flags) for cpu, flags in cores.items()},
        }
        path = measured(target, "footprint")
        if arguments.check:
            old = json.loads(path.read_text())
            same = old == table
            stale |= not same
            print(f"{path.name}: {'up to date' if same else 'changed'}")
        else:
            path.write_text(text(table))
            print(f"wrote {path}")
    sys.exit(stale)


if __name__ == "__main__":
    main()
