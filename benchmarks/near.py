# SPDX-License-Identifier: Apache-2.0
"""A cluster's attention layer with all data in L1: a copy of GVSoC with 512 KB of it, as the other
kernels' figures were recorded (GAP9 has 128 KB), and a project changed to use it.

Weights, tables and parameters lie in L1 before the clock starts and are read where they are
(TG_WEIGHTS_NEAR in kernels/src/cluster/share.h); it starts when the input is there, and stops when
the output is. The DMA still brings the parameters and the exponent table to their place beside the
cores' memory, 1 KB from L1 to L1.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

L1_BYTES = 1 << 19
FLAG = "-DTG_WEIGHTS_NEAR"
SECTION = '__attribute__((section(".data_l1")))'
CLUSTER = Path("generators/pulp/chips/pulp_open/cluster.json")
LINKER = Path("rtos/pulpos/pulp/kernel/chips/pulp/link.ld")
"""From the SDK's own folder."""


def large_l1(install: Path, folder: Path) -> None:
    """Makes folder an installation of GVSoC like `install`, its files linked, with 512 KB of L1."""
    shutil.copytree(install, folder, copy_function=lambda a, b: Path(b).symlink_to(a))
    for name in ("bin", str(CLUSTER)):  # what looks for its own place, and what is changed
        place = folder / name
        if place.is_dir():
            shutil.rmtree(place)
            shutil.copytree(install / name, place)
        else:
            place.unlink()
    found = json.loads((install / CLUSTER).read_text())
    for mapping in ("mapping", "ts_mapping"):
        found["l1"][mapping]["size"] = hex(L1_BYTES)
    (folder / CLUSTER).write_text(json.dumps(found))


def bring_near(project: Path, sdk: Path) -> None:
    """Changes a project of one attention layer, heads to cores; `make` needs FLAG in APP_CFLAGS."""
    (code,) = project.glob("src/model/*_arena.c")
    model = code.name.removesuffix("_arena.c")
    weights, network = (project / "src" / "model" / f"{model}{end}.c" for end in ("_weights", ""))
    _change(weights, r"^(?:_Alignas\(\d+\) )?const ", rf"{SECTION} \g<0>")
    _change(network, r"^static const tg_attention_t \w+", rf"\g<0> {SECTION}", 1)
    _change(network, r"(  if .*\n    TG_PROFILE_START\(\);\n)((?:.*\n)*?.*;\n)\n", r"\2\1\n", 1)
    _change(
        network, r"(  tg_cluster_store\((?:.*\n)+?)(  if .*\n    TG_PROFILE_LAYER.*\n)", r"\2\1", 1
    )
    script = project / "chips" / "pulp" / "link.ld"  # the linker looks here first
    script.parent.mkdir(parents=True)
    script.write_text((sdk / LINKER).read_text())
    _change(script, r"^( *L1\w* *: *ORIGIN = \w+, LENGTH =) \w+", rf"\1 {L1_BYTES - 4:#x}", 2)


def _change(path: Path, old: str, new: str, times: int | None = None) -> None:
    text, count = re.subn(old, new, path.read_text(), flags=re.M)
    if not count or times not in (None, count):
        raise SystemExit(f"{path}: {old!r} is there {count} times")
    path.write_text(text)
