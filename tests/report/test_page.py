# SPDX-License-Identifier: Apache-2.0
"""The HTML page: complete in itself, and it renders in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from graphs import random_encoder
from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.planner import Options, describe, make_plan
from tinygen.project import create_project, promise, random_samples
from tinygen.report import page

BROWSER = next(
    (b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), ""
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    graph = random_encoder(tokens=12, e=24, p=6, h=4, blocks=2)
    plan = make_plan(graph, load_board("mps2_an386"))
    samples = promise(graph, random_samples(graph, 2), None)
    return create_project(plan, samples, "baremetal", tmp_path / "net")


def record(project: Path) -> dict:
    layers = json.loads((project / "plan.json").read_text())["layers"]
    return {
        "passed": True, "on": "qemu", "samples": 2, "matching": 2, "accuracy": None,
        "counter": "instructions", "total": 1000 * len(layers), "arena_bytes": 1,
        "layers": [{"name": la["name"], "op": la["op"], "count": 1000} for la in layers],
        "flash_bytes": 9000, "stack_bytes": 600, "compiler": "cc",
    }  # fmt: skip


def test_one_file_without_network(project: Path) -> None:
    text = page.write_page(project).read_text()
    assert not re.search(r"https?://|<link|src=|@import|url\(", text)
    data = re.search(r'id="data">(.*?)</script>', text, re.S)
    assert data
    assert json.loads(data[1])["plan"]["model"] == "net"


def test_names_cannot_break_out_of_the_page() -> None:
    plan = describe(make_plan(random_encoder(), load_board("host")))
    plan["notes"] = ["</script><b>"]
    assert page.page(plan, None).count("</script>") == 2


def test_what_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TinygenError, match="tinygen new"):
        page.write_page(tmp_path)


def rendered(path: Path) -> str:
    """What the browser makes of the page, its data left out; nothing may go to the console."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    done = subprocess.run(
        [BROWSER, *flags, "--virtual-time-budget=2000", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout.split('id="data"')[0]


@pytest.mark.skipif(not BROWSER, reason="needs chromium")
@pytest.mark.parametrize("ran", [False, True])
def test_renders_in_a_browser(project: Path, ran: bool) -> None:
    if ran:
        page.save_run(project, record(project))
    path = page.write_page(project)
    dom = rendered(path)
    plan = json.loads((project / "plan.json").read_text())
    assert dom.count('class="box"') == len(plan["buffers"])
    assert all(layer["name"] in dom for layer in plan["layers"])
    assert ("Self-test" in dom) == ran
    assert ("Not run yet" in dom) != ran


@pytest.mark.skipif(not BROWSER, reason="needs chromium")
@pytest.mark.parametrize("limit", [None, 6000])
def test_a_cluster_renders(limit: int | None, tmp_path: Path) -> None:
    """Cycles and no instructions; with a limit, weights in L3."""
    graph = random_encoder(tokens=9, e=16, p=4, h=3, ffn=40, blocks=3)
    plan = make_plan(graph, load_board("gap9"), Options(max_flash=limit))
    path = page.write_page(create_project(plan, None, "pulp-sdk", tmp_path / "net"))
    dom = rendered(path)
    assert " cycles predicted" in dom
    assert ("lie in L3" in dom) == (limit is not None)


CHECK = {
    "samples": 360, "top1_agreement": 1.0, "mean_abs_lsb": 0.22, "max_abs_lsb": 2.0,
    "accuracy_onnx": 0.975, "accuracy_int": 0.9722,
}  # fmt: skip


@pytest.mark.skipif(not BROWSER, reason="needs chromium")
def test_accuracy_where_a_check_is_given(project: Path, tmp_path: Path) -> None:
    made = tmp_path / "check.json"
    made.write_text(json.dumps(CHECK))
    path = page.write_page(project, check=made)
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000"]
    done = subprocess.run(
        [BROWSER, *flags, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120
    )
    section = done.stdout.split('id="fidelity"')[1].split("</section>")[0]
    assert "hidden" not in section.split(">")[0]
    assert "97.2" in section and "0.220 LSB" in section and "360" in section


@pytest.mark.parametrize("text", ["", "[]", '{"samples": 3}'])
def test_what_is_no_check_is_refused(project: Path, tmp_path: Path, text: str) -> None:
    made = tmp_path / "check.json"
    made.write_text(text)
    with pytest.raises(TinygenError, match="tinygen check"):
        page.write_page(project, check=made)
