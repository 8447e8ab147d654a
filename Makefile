# `make demo` and `make test` do everything on a fresh Debian machine with Python 3.11 or newer.
BIN := .venv/bin

.PHONY: demo test bench lint toolchain clean

demo: ## build an example for the embedded default, run it in QEMU, print the verified result
	@sh scripts/environment.sh demo
	@sh scripts/toolchain.sh
	@$(BIN)/tinyptq demo

test: lint ## ruff, mypy and every test
	@sh scripts/toolchain.sh dev
	$(BIN)/python -m pytest $(PYTEST)

bench: ## instructions per layer of the MLPerf Tiny models on every emulated board, into docs/benchmarks
	@sh scripts/environment.sh dev
	@sh scripts/toolchain.sh dev
	$(BIN)/python scripts/bench.py

lint:
	@sh scripts/environment.sh dev
	$(BIN)/ruff check .
	$(BIN)/mypy

toolchain: ## compilers and emulators for every board: installed where possible, else the line is printed
	@sh scripts/environment.sh demo
	@sh scripts/toolchain.sh

clean:
	rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
