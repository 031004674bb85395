# SPDX-License-Identifier: Apache-2.0
"""`tinygen profile`: what a board prints, from a log and from a (pseudo-)terminal."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from qemu_pty import qemu_on_a_terminal
from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.project import Request, new_project
from tinygen.runner import build, find_toolchain, profile

DIGITS = Path(__file__).parents[2] / "example_models" / "digits"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profile") / "app"
    board = load_board("nucleo_h743zi")
    new_project(Request(board, DIGITS / "model.onnx", DIGITS / "samples.npz", folder, self_test=3))
    return folder


def output(project: Path, wrong: bool = False, hash_: str | None = None) -> list[str]:
    """What the board would print."""
    manifest = json.loads((project / "tinygen.json").read_text())
    layers = len(manifest["layers"])
    boot = {
        "tg": "boot",
        "model": "digits",
        "hash": hash_ or manifest["model_hash"],
        "generator": manifest["generator"],
        "layers": layers,
        "samples": 3,
        "counter": "cycles",
    }
    lines: list[dict[str, object]] = [boot]
    for i in range(3):
        counts = [1000 + i] * layers
        sample = {"tg": "sample", "i": i, "equal": True, "argmax": 1, "label": 1}
        sample |= {"total": sum(counts), "counts": counts}
        if wrong and i == 1:
            sample |= {"equal": False, "at": 2, "got": 3, "promised": 4}
        lines.append(sample)
    lines.append({"tg": "done", "samples": 3, "equal": 2 if wrong else 3, "stack": 500})
    text = [json.dumps(line, separators=(",", ":")) for line in lines]
    return ["*** Booting Zephyr OS build v4.2.0 ***", *text, "I: no sensor yet"]


def test_a_log_of_two_runs(project: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    cut = output(project)[3:]
    log.write_text("\r\n".join([*cut, *output(project), *output(project)]))
    result = profile(project, log=log)
    assert result.passed
    assert (result.samples, result.matching, result.counter) == (3, 3, "cycles")
    assert result.layers[0].count == 1002
    assert result.total == 1002 * len(result.layers)
    assert result.milliseconds == pytest.approx(1e3 * result.total / 480e6)
    assert len(result.predicted) == len(result.layers)
    assert result.accuracy == 1


def test_a_wrong_output_is_shown(project: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("\n".join(output(project, wrong=True)))
    result = profile(project, log=log)
    assert not result.passed
    assert result.mismatch is not None
    assert (result.mismatch.sample, result.mismatch.at, result.mismatch.got) == (1, 2, 3)


def test_another_model_is_refused(project: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("\n".join(output(project, hash_="0" * 64)))
    with pytest.raises(TinygenError, match="build and flash it again"):
        profile(project, log=log)


def test_a_log_that_ends_early(project: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("\n".join(output(project)[:3]))
    with pytest.raises(TinygenError, match="no complete self-test"):
        profile(project, log=log)


def test_a_terminal(project: Path) -> None:
    pytest.importorskip("serial")
    board, port = os.openpty()
    text = "\r\n".join(["half a li", *output(project), ""]).encode()

    def talk() -> None:
        for at in range(0, len(text), 50):
            os.write(board, text[at : at + 50])

    talker = threading.Timer(0.3, talk)
    talker.start()
    try:
        assert profile(project, port=os.ttyname(port), timeout=20).passed
    finally:
        talker.join()
        os.close(board)
        os.close(port)


@pytest.mark.emulated
def test_firmware_at_the_other_end(tmp_path: Path) -> None:
    pytest.importorskip("serial")
    for program in ("qemu-system-arm", "arm-none-eabi-gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    board = load_board("mps2_an386")
    folder = tmp_path / "app"
    new_project(Request(board, DIGITS / "model.onnx", DIGITS / "samples.npz", folder, self_test=3))
    built = build(folder, board, find_toolchain(board))
    with qemu_on_a_terminal("mps2-an386", built.elf, semihosting=True) as port:
        result = profile(folder, port=port, timeout=60)
    assert result.passed
    assert (result.samples, result.matching, result.counter) == (3, 3, "instructions")
    known = [p for p in result.predicted if p is not None]
    assert result.total == pytest.approx(sum(known), rel=0.1)


def test_a_silent_terminal(project: Path) -> None:
    pytest.importorskip("serial")
    board, port = os.openpty()
    try:
        with pytest.raises(TinygenError, match="reset button"):
            profile(project, port=os.ttyname(port), timeout=1)
    finally:
        os.close(board)
        os.close(port)


def test_no_such_terminal(project: Path) -> None:
    pytest.importorskip("serial")
    with pytest.raises(TinygenError, match="connected"):
        profile(project, port="/dev/ttyNOWHERE", timeout=1)
