# SPDX-License-Identifier: Apache-2.0
"""What the commands make of a damaged file: an answer, or one sentence and nothing left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from fuzz import damage
from fuzz.judge import Verdict
from tinygen import fidelity
from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.project import Request, new_project

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus" / "models"
FLOATS = [ROOT / "example_models" / n / "float.onnx" for n in ("digits", "activity")]
BOARDS = ("host", "nucleo_h743zi", "gap9_evk", "mps2_an500")
FAR = 3.0
"""Mean distance in LSB from onnxruntime, beyond which a model that was taken is looked at."""


def damaged(seed: int, case: int, folder: Path) -> Verdict:
    """One file is damaged and given to a command."""
    rng = np.random.default_rng([seed, case, 1])
    kind = str(rng.choice(["model", "float", "samples", "board"], p=[0.6, 0.05, 0.2, 0.15]))
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    pairs = [p for p in sorted(CORPUS.glob("*.onnx")) if p.with_suffix(".npz").exists()]
    model = Path(damage.pick(rng, pairs))
    samples = model.with_suffix(".npz")
    if kind == "float":
        model = Path(damage.pick(rng, [f for f in FLOATS if f.exists()]))
        samples = model.with_name("samples.npz")
    here, data, board = folder / "model.onnx", folder / "data.npz", folder / "board.yaml"
    content, given = model.read_bytes(), _few(samples)
    card = (ROOT / "boards" / f"{damage.pick(rng, BOARDS)}.yaml").read_bytes()
    if kind in ("model", "float"):
        content = damage.model_file(content, rng)
        (folder / "ext.bin").write_bytes(b"\1" * 64)
    elif kind == "samples":
        given = damage.samples_file(given, rng)
    else:
        card = damage.board_file(card, rng)
    here.write_bytes(content)
    data.write_bytes(given)
    board.write_bytes(card)
    before = sorted(p.name for p in folder.iterdir())
    what = "quantize" if kind == "float" else str(rng.choice(["check", "new"]))
    if kind == "board":
        what = "new"
    try:
        said = _command(what, here, data, board, folder)
    except TinygenError as error:
        left = sorted(p.name for p in folder.iterdir())
        if left != before:
            return Verdict("find", f"{what} left {set(left) - set(before)} behind: {error}")
        return sentence(str(error), folder, kind, what)
    return Verdict("find", f"{what} of {model.name}: {said}") if said else Verdict("taken", kind)


def sentence(text: str, folder: Path, kind: str, what: str) -> Verdict:
    plain = text.replace(str(folder) + "/", "")
    if not text.isprintable() or "~" in plain or "Traceback" in plain or len(plain) > 700:
        return Verdict(
            "find", f"{what}, damaged {kind}, a sentence that nobody can read: {plain!r}"
        )
    file = {"model": "model.onnx", "float": "model.onnx", "samples": "data.npz"}.get(kind)
    if file and file not in plain and "node" not in plain:
        return Verdict("find", f"{what}, damaged {kind}, not named: {plain}")
    return Verdict("refused", plain)


def _few(path: Path) -> bytes:
    """The first samples of a file, as a file."""
    import io

    with np.load(path) as held:
        x = held["x"][:4].astype(np.float32)
    out = io.BytesIO()
    np.savez(out, x=x)
    return out.getvalue()


def _command(what: str, model: Path, data: Path, board: Path, folder: Path) -> str:
    """What is wrong with an answer, or nothing."""
    if what == "check":
        imported = fidelity.import_for(model, data)
        x, y = fidelity.load_samples(data, imported.graph)
        result = fidelity.check(imported.graph, model, x, y)
        return f"{result.mean_abs_lsb:.2f} LSB off" if not result.mean_abs_lsb < FAR else ""
    if what == "quantize":
        fidelity.quantize(model, data, folder / "out.onnx", progress=lambda a, b: None)
        return "" if (folder / "out.onnx").is_file() else "wrote nothing"
    request = Request(load_board(str(board)), model, data, folder / "out")
    new_project(request)
    return "" if (folder / "out").is_dir() else "wrote nothing"
