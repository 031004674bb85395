# SPDX-License-Identifier: Apache-2.0
"""Whether the fields of a board fit each other: core, target, flags, memories, templates.

Each function raises ValueError with what is wrong, behind the name of the field, as the loader puts
it before the others' messages too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tinygen.boards.parts import Core, Region, Zephyr
from tinygen.names import identifier

END = 1 << 32
"""Of the address space."""
_DSP = {"m4", "m7", "m33", "m35p", "m52", "m55", "m85"}
_PLAIN = {"m0", "m0plus", "m1", "m3", "m23"}
_FPUS = {
    "m4": {"fpv4-sp-d16"},
    "m7": {"fpv5-sp-d16", "fpv5-d16"},
    "m33": {"fpv5-sp-d16"},
    "m35p": {"fpv5-sp-d16"},
    "m52": {"fpv5-sp-d16", "fpv5-d16"},
    "m55": {"fpv5-sp-d16", "fpv5-d16"},
    "m85": {"fpv5-sp-d16", "fpv5-d16"},
}
_EXTENSIONS = {
    "m0": {"small-multiply"},
    "m0plus": {"small-multiply"},
    "m1": {"small-multiply"},
    "m4": {"nofp"},
    "m7": {"nofp", "nofp.dp"},
    "m33": {"nofp", "nodsp"},
    "m35p": {"nofp", "nodsp"},
    "m52": {"nofp", "nodsp", "nomve", "nomve.fp", "nopacbti"},
    "m55": {"nofp", "nodsp", "nomve", "nomve.fp"},
    "m85": {"nofp", "nodsp", "nomve", "nomve.fp", "nopacbti"},
}
"""What compilers take behind the core's name and a + (a dot before small-multiply)."""
_MACHINE = {
    "-mthumb",
    "-mfloat-abi=soft",
    "-mfloat-abi=softfp",
    "-mfloat-abi=hard",
    "-mfpu=auto",
    "-munaligned-access",
    "-mno-unaligned-access",
}
_SECURE = {"m23", "m33", "m35p", "m52", "m55", "m85"}
"""Cores that take -mcmse."""
_SECTIONS = {".text", ".rodata", ".data", ".bss", ".stack", ".vectors"}
"""Of the linker script itself."""
_SCRIPT = {
    *("KEEP", "COMMON", "SORT", "SORT_NONE", "SORT_BY_NAME", "SORT_BY_ALIGNMENT", "EXCLUDE_FILE"),
    *("SORT_BY_INIT_PRIORITY", "INPUT_SECTION_FLAGS", "CONSTRUCTORS", "CREATE_OBJECT_SYMBOLS"),
    *("BYTE", "SHORT", "LONG", "QUAD", "SQUAD", "FILL", "ASSERT", "PROVIDE", "HIDDEN", "ALIGN"),
    *("PROVIDE_HIDDEN", "ENTRY", "GROUP", "INCLUDE", "INPUT", "OVERLAY", "SECTIONS", "MEMORY"),
}
"""Words of its language."""


def core(core: Core, host: bool) -> None:
    """The target's instructions exist on the core, and the flags are those of a compiler for it."""
    if core.count > 1 and core.target != "xpulpv2":
        raise ValueError(f"core.count: the kernels of {core.target} run on one core: write 1")
    if core.target == "xpulpv2":
        if core.cpu.startswith("cortex"):
            raise ValueError(f"core.target: xpulpv2 is for cores with XpulpV2, not for {core.cpu}")
        return
    if host:
        if core.target != "portable":
            raise ValueError(
                f"core.target: {core.target} does not run on this computer: write portable"
            )
        return
    _cortex(core)


def _cortex(core: Core) -> None:
    kind, *extensions = core.cpu.replace(".small", "+small").split("+")
    name = kind.removeprefix("cortex-")
    if name == kind or name not in _DSP | _PLAIN:
        known = ", ".join(f"cortex-{n}" for n in sorted(_DSP | _PLAIN))
        raise ValueError(f"core.cpu: {core.cpu} is none of {known}")
    for extension in extensions:
        if extension not in _EXTENSIONS.get(name, ()):
            raise ValueError(f"core.cpu: cortex-{name} has no variant {extension}")
    if core.target == "armv7em" and (name in _PLAIN or "nodsp" in extensions):
        raise ValueError(
            f"core.target: armv7em needs DSP instructions, which {core.cpu} lacks: write portable"
        )
    fpus = _FPUS.get(name, set()) if "nofp" not in extensions else set()
    for flag in core.cflags:
        if wrong := _flag(flag, name, fpus):
            raise ValueError(f"core.cflags: {flag}: {wrong}")


def _flag(flag: str, name: str, fpus: set[str]) -> str:
    """What is wrong with a flag on a Cortex-<name>."""
    if flag.startswith(("-mcpu=", "-march=", "-mtune=")):
        return "core.cpu says that already, so remove it"
    if flag.startswith("-mfpu=") and flag != "-mfpu=auto":
        has = " or ".join(sorted(fpus)) or "no FPU"
        return "" if flag.removeprefix("-mfpu=") in fpus else f"cortex-{name} has {has}"
    if flag in ("-mfloat-abi=hard", "-mfloat-abi=softfp", "-mfpu=auto") and not fpus:
        return f"cortex-{name} has no FPU"
    taken = _MACHINE | ({"-mcmse"} if name in _SECURE else set())
    return "" if flag in taken else f"none of {', '.join(sorted(taken))} and -mfpu"


def memory(regions: Sequence[Region], target: str) -> None:
    """Names are apart, and every region lies in the address space and beside the others."""
    for at, r in enumerate(regions):
        where = f"memory.{at}"
        if r.base + r.size > END:
            raise ValueError(
                f"{where}: {r.name} ends at 0x{r.base + r.size:x}, beyond the 4 GB of the address "
                "space"
            )
        if r.kind != "external" and r.base % 8:
            raise ValueError(f"{where}.base: 0x{r.base:x} is no multiple of 8")
        if r.reserved > r.size:
            raise ValueError(f"{where}.reserved: {r.name} has {r.size} bytes only")
        if r.kind == "external" and target != "xpulpv2":
            raise ValueError(f"{where}.kind: external memory needs a cluster (target xpulpv2)")
    _apart([identifier(r.name) for r in regions], "name", "the same name in C")
    _apart([r.section for r in regions], "section", "the same section")
    placed = sorted((r.base, r.base + r.size, r.name) for r in regions if r.kind != "external")
    for (_, end, a), (start, _, b) in pairwise(placed):
        if start < end:
            raise ValueError(f"memory: regions {a} and {b} overlap from 0x{start:x} on")
    if not any(r.kind == "ram" for r in regions):
        raise ValueError("memory: no region has the kind ram")


def _apart(texts: Sequence[str | None], field: str, what: str) -> None:
    for at, text in enumerate(texts):
        if text is not None and text in texts[:at]:
            raise ValueError(f"memory.{at}.{field}: two regions have {what}, {text}")


def templates(
    names: Sequence[str],
    target: str,
    regions: Sequence[Region],
    zephyr: Zephyr | None,
    host: bool,
) -> None:
    """Each can be made of what the description holds."""
    if len(set(names)) != len(names):
        raise ValueError("templates: one is named twice")
    for name in names:
        if (name == "pulp-sdk") != (target == "xpulpv2"):
            raise ValueError(f"templates: {name} has no kernels for target {target}")
        if name == "zephyr" and zephyr is None:
            raise ValueError(
                "templates: zephyr needs the field `zephyr` with `board`, which `tinygen boards "
                "import` writes"
            )
        if name == "baremetal":
            _baremetal(regions, host)


def _baremetal(regions: Sequence[Region], host: bool) -> None:
    if not any(r.kind == "flash" for r in regions):
        raise ValueError("memory: template baremetal needs a region of the kind flash")
    for at, region in enumerate(regions):
        if region.section in _SECTIONS | _SCRIPT:
            raise ValueError(f"memory.{at}.section: {region.section} is the linker script's own")
        if region.clock and not host:
            raise ValueError(f"memory.{at}.clock: template baremetal turns on no clocks")
