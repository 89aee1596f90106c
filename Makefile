# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv themselves.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin

# A sourced ROS or user site-packages must not mix with the pinned environment.
unexport PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE := 1
export PYTHON

.PHONY: help demo test slow mutants venv clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s  %s\n", $$1, $$2 }' Makefile

demo: venv ## Train the reaching arm, evaluate it and write a report with pictures
	@$(BIN)/ppo-robot demo $(ARGS)

test: venv ## Run ruff, mypy, the import contracts and the tests
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

slow: venv ## Run the tests that take long
	@$(BIN)/python -m pytest -m slow $(ARGS) || [ $$? -eq 5 ]  # 5: no test is marked slow

mutants: venv ## Change the safety envelope's code and count what its tests notice; hours, and goes on where it was
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt mutmut
	@$(BIN)/python benchmarks/mutation.py $(ARGS)

venv: ## Set up .venv, pinned; instant when it is already there
	@.ci/setup-venv

clean: ## Remove .venv and everything that was built; runs/ stays
	@rm -rf .venv build install log *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
