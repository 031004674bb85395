# SPDX-License-Identifier: Apache-2.0
"""What can be said of Zephyr projects without a Zephyr tree."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tinygen.boards import Board, all_boards, load_board
from tinygen.project import Request, new_project

EXAMPLES = Path(__file__).parents[2] / "example_models"
BOARDS = [b for b in all_boards() if "zephyr" in b.templates]
STRICT = ("-std=c11", "-O3", "-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Werror")
INCLUDES = ("include", "src/tinygen", "src/tinygen/include", "src/tinygen/src")
MODELS = {"digits": "digits", "activity": "activity", "eegformer": "paper_shapes/eegformer"}


def make(board: Board, folder: Path, model: str = "digits", module: bool = False) -> Path:
    path = EXAMPLES / MODELS[model]
    new_project(
        Request(
            board,
            path / "model.onnx",
            path / "samples.npz",
            folder,
            "zephyr",
            self_test=2,
            module=module,
        )
    )
    return folder


@pytest.fixture(scope="module", params=BOARDS, ids=lambda b: b.name)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(request.param, tmp_path_factory.mktemp("app") / request.param.name)


def sources(project: Path) -> set[str]:
    return {f.relative_to(project).as_posix() for f in (project / "src").rglob("*.c")}


def test_the_list_of_sources_is_what_lies_in_src(project: Path) -> None:
    listed = re.findall(r"^  (\S+\.c)$", (project / "app.cmake").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == sources(project)


def test_basenames_are_unique(project: Path) -> None:
    """PlatformIO names objects by them."""
    names = [Path(f).name for f in sources(project)]
    assert len(names) == len(set(names))


def test_yaml(project: Path) -> None:
    assert not (project / "west.yml").exists()  # PlatformIO would read it
    west = yaml.safe_load((project / "zephyr/west.yml").read_text())["manifest"]
    (zephyr,) = west["projects"]
    assert re.fullmatch(r"v4\.\d+\.\d+", zephyr["revision"])
    assert {"cmsis", "cmsis_6", "hal_stm32"} == set(zephyr["import"]["name-allowlist"])
    assert west["self"]["path"] == project.name
    sample = yaml.safe_load((project / "sample.yaml").read_text())
    (test,) = sample["tests"].values()
    assert test["integration_platforms"][0] in test["platform_allow"]
    (pattern,) = sample["common"]["harness_config"]["regex"]
    assert re.search(pattern, '{"tg":"done","samples":32,"equal":32,"stack":536}')
    assert not re.search(pattern, '{"tg":"done","samples":32,"equal":31,"stack":536}')


def test_editor_files_are_json(project: Path) -> None:
    for file in (project / ".vscode").iterdir():
        json.loads(re.sub(r"^//.*\n", "", file.read_text()))


def test_spdx(project: Path) -> None:
    for file in project.rglob("*"):
        if file.is_file() and file.suffix != ".json" and file.name != ".gitignore":
            assert "SPDX-License-Identifier: Apache-2.0" in file.read_text().splitlines()[0], file


def test_nothing_of_the_template_is_left(project: Path) -> None:
    for file in project.rglob("*"):
        assert "cookiecutter" not in file.name
        if file.is_file():
            assert "cookiecutter" not in file.read_text(), file


def test_every_option_in_a_conf_exists(project: Path) -> None:
    """Those of ours; Zephyr's own are checked where there is a tree."""
    defined = set()
    for file in ("Kconfig", "zephyr/Kconfig"):
        defined |= set(re.findall(r"^config (\w+)", (project / file).read_text(), re.MULTILINE))
    defined.add("TINYGEN_LOG_LEVEL_INF")  # from Zephyr's template
    used = set()
    for conf in (project / "zephyr").rglob("*.conf"):
        used |= set(re.findall(r"^CONFIG_(TINYGEN\w+)=", conf.read_text(), re.MULTILINE))
    assert used <= defined


def test_kconfig_parses(project: Path, tmp_path: Path) -> None:
    kconfiglib = pytest.importorskip("kconfiglib")
    top = tmp_path / "Kconfig"
    text = (project / "zephyr/Kconfig").read_text()
    text = re.sub(r"^(source|module).*$", "", text, flags=re.MULTILINE)
    top.write_text(
        "config ARCH_POSIX\n\tbool\nconfig TIMING_FUNCTIONS\n\tbool\n"
        "config CODE_DATA_RELOCATION\n\tbool\n"
        + (project / "Kconfig").read_text().replace('rsource "zephyr/Kconfig"', text)
    )
    config = kconfiglib.Kconfig(str(top), warn_to_stderr=False)
    assert not config.warnings
    assert config.syms["TINYGEN_SELF_TEST"].str_value == "y"


def test_overlays_compile(project: Path, tmp_path: Path) -> None:
    dtc = shutil.which("dtc")
    if dtc is None:
        pytest.skip("dtc is not installed")
    for overlay in (project / "zephyr/boards").glob("*.overlay"):
        text = overlay.read_text()
        labels = sorted(set(re.findall(r"^&(\w+)", text, re.MULTILINE)))
        nodes = "".join(f"{n}: memory@{i}0 {{ reg = <{i}0 1>; }};\n" for i, n in enumerate(labels))
        dts = tmp_path / "board.dts"
        dts.write_text(f"/dts-v1/;\n/ {{ #address-cells=<1>; #size-cells=<1>;\n{nodes}}};\n{text}")
        done = subprocess.run([dtc, "-I", "dts", "-O", "dtb", "-o", "/dev/null", str(dts)])
        assert done.returncode == 0


def compiler_of(board: Board) -> list[str]:
    name = "gcc" if board.emulation.host else "arm-none-eabi-gcc"
    compiler = shutil.which(name)
    if compiler is None:
        pytest.skip(f"{name} is not installed")
    cpu = [] if board.emulation.host else [f"-mcpu={board.core.cpu}"]
    return [compiler, *cpu, *board.core.cflags]


def generated(project: Path) -> list[str]:
    return sorted(f for f in sources(project) if f.startswith(("src/model/", "src/tinygen/")))


@pytest.mark.parametrize("profile", (True, False), ids=("profiled", "plain"))
def test_the_library_compiles_strictly(project: Path, profile: bool, tmp_path: Path) -> None:
    board = load_board(json.loads((project / "tinygen.json").read_text())["board"])
    include = [f"-I{project / folder}" for folder in INCLUDES]
    define = ["-DTG_PROFILE"] if profile else []
    for source in generated(project):
        command = [*compiler_of(board), *STRICT, *include, *define, "-c", str(project / source)]
        done = subprocess.run(
            [*command, "-o", str(tmp_path / "out.o")], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


ASSEMBLY_FRAME = 68
"""Of tiles.c, which -fstack-usage does not see: thirteen registers and sixteen bytes."""
FORBIDDEN = re.compile(r"\b(malloc|calloc|realloc|free|expf?|sqrtf?|powf?|tanhf?|erff?|roundf?)\b")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ("nucleo_h743zi", "nucleo_l476rg", "mps2_an385"))
def test_no_heap_no_libm_little_stack(name: str, model: str, tmp_path: Path) -> None:
    """The deepest chain of calls cannot exceed the sum of all functions that are on the stack at
    once: <model>_run, one layer's kernel and what that calls."""
    board = load_board(name)
    project = make(board, tmp_path / "app", model)
    include = [f"-I{project / folder}" for folder in INCLUDES]
    nm = shutil.which("arm-none-eabi-nm") or ""
    usage: dict[str, int] = {}
    for i, source in enumerate(generated(project)):
        out = tmp_path / f"{i}.o"
        command = [*compiler_of(board), "-std=c11", "-O3", "-fstack-usage", *include]
        subprocess.run([*command, "-c", str(project / source), "-o", str(out)], check=True)
        undefined = subprocess.run([nm, "-u", str(out)], capture_output=True, text=True).stdout
        assert not FORBIDDEN.search(undefined), undefined
        for line in out.with_suffix(".su").read_text().splitlines():
            place, size, kind = line.split("\t")
            assert kind in ("static", "dynamic,bounded"), line
            usage[place.rsplit(":", 1)[1]] = int(size)
    run = usage.pop(f"{model}_run")
    deepest = run + sum(sorted(usage.values())[-4:])
    assert deepest <= 2048, usage
    header = (project / f"include/tinygen_model/{model}.h").read_text()
    (stated,) = re.findall(rf"#define {model.upper()}_STACK_BYTES (\d+)", header)
    assert run + max(usage.values()) <= int(stated) <= deepest + ASSEMBLY_FRAME + 8
    conf = (project / "zephyr/prj.conf").read_text()
    (main,) = re.findall(r"CONFIG_MAIN_STACK_SIZE=(\d+)", conf)
    assert int(stated) + 1024 <= int(main)


OFFLINE = """
import socket
def offline(*_, **__): raise OSError("offline")
socket.socket = socket.create_connection = socket.getaddrinfo = offline
from tinygen.cli import main
main()
"""
SHIPPED = ("digits", "activity", *(f"paper_shapes/{n}former" for n in ("eeg", "ecg")))


@pytest.mark.parametrize("model", (*SHIPPED, "paper_shapes/tinyradar"))
def test_the_same_bytes_soon_and_offline(model: str, tmp_path: Path) -> None:
    """Seconds of processor time, start of the interpreter included: tests share the machine."""
    path, seen = EXAMPLES / model, []
    for folder in (tmp_path / "a" / "app", tmp_path / "b" / "app"):
        given = ("--model", path / "model.onnx", "--samples", path / "samples.npz")
        command = [sys.executable, "-c", OFFLINE, "new", folder, "--board", "nucleo_h743zi", *given]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        assert took < 3
        files = sorted(f for f in folder.rglob("*") if f.is_file())
        seen.append({f.relative_to(folder).as_posix(): f.read_bytes() for f in files})
    assert seen[0] == seen[1]


def test_a_module(tmp_path: Path) -> None:
    project = make(load_board("nucleo_h743zi"), tmp_path / "digits", module=True)
    described = yaml.safe_load((project / "zephyr/module.yml").read_text())
    assert described["name"] == "tinygen_digits"
    assert (project / described["build"]["kconfig"]).is_file()
    assert (project / "include/tinygen_model/digits.h").is_file()
    assert not (project / "src/main.c").exists()
    listed = re.findall(r"^  (\S+\.c)$", (project / "app.cmake").read_text(), re.MULTILINE)
    assert set(listed) == sources(project)


@pytest.mark.slow
@pytest.mark.parametrize("name", ("nucleo_l476rg", "mps2_an385"))
@pytest.mark.parametrize("model", MODELS)
def test_clang_tidy_finds_nothing_bug_prone(model: str, name: str, tmp_path: Path) -> None:
    """As for the core: there int and ptrdiff_t have the same width."""
    tidy, newlib = shutil.which("clang-tidy"), Path("/usr/include/newlib")
    if tidy is None or not newlib.is_dir():
        pytest.skip("clang-tidy or Debian's libnewlib-arm-none-eabi is not installed")
    board = load_board(name)
    project = make(board, tmp_path / "app", model)
    checks = "-*,bugprone-*,-bugprone-easily-swappable-parameters"
    files = [str(project / f) for f in generated(project) if not f.endswith("_samples.c")]
    include = [f"-I{project / folder}" for folder in INCLUDES]
    target = ["--target=arm-none-eabi", f"-mcpu={board.core.cpu}", "-mthumb", f"-isystem{newlib}"]
    command = [tidy, "--quiet", f"--checks={checks}", "--warnings-as-errors=*", *files, "--"]
    done = subprocess.run([*command, "-std=c11", *target, *include], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
