# SPDX-License-Identifier: Apache-2.0
# Both set up what they need in .venv; as root on Debian, `make test` also installs the cross
# compiler and QEMU, without root it uses PyPI's ziglang and unicorn instead.
.PHONY: demo bench test lint format clean

demo:
	tools/setup run check
	.venv/bin/python tools/demo.py

bench:
	tools/setup --system test
	.venv/bin/python benchmarks/bench.py

test:
	tools/setup --system test
	.venv/bin/python -m pytest -n 2

lint:
	tools/setup dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	git ls-files -z '*.c' '*.h' ':!templates' | xargs -0 .venv/bin/clang-format --dry-run --Werror

format:
	tools/setup dev
	.venv/bin/ruff check --fix
	.venv/bin/ruff format
	git ls-files -z '*.c' '*.h' ':!templates' | xargs -0 .venv/bin/clang-format -i

clean:
	rm -rf .venv demo build dist
