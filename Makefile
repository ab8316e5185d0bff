# The commands of this house. `make` alone lists them. CI runs the same words.

PYTHON ?= python3
VENV   := .venv
OLDEST := .venv-oldest
NEWEST := .venv-newest
FRAMES := .venv-frameworks
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.setup-done
RIVALS := $(VENV)/.bench-setup-done
PURELIB := import sysconfig; print(sysconfig.get_path('purelib'))
MEETING := tests/step tests/guard tests/detect tests/tensors tests/locate tests/experiment tests/integrations
ARGS   ?=
DATA   ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-frameworks test-oldest test-newest check bench clean

help:  ## list the goals
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv and install evenkeel with its development tools

$(STAMP): pyproject.toml constraints-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints-dev.txt -e '.[dev]'
	@touch $@

# Exit status 3 is the point of the demo: evenkeel stopped the run on an incident.
demo: setup  ## watch a run go bad, get it explained, then run the mended script (DATA=file for real data)
	@out="evenkeel-runs/demo-$$(date +%Y%m%d-%H%M%S)-$$$$"; status=0; \
	$(BIN)/evenkeel run --out "$$out" examples/deconvolution_nan/train.py $(if $(DATA),--data "$(DATA)") || status=$$?; \
	if [ $$status -ne 3 ]; then \
	    echo "demo: evenkeel run ended with status $$status; 3 was expected (stopped on an incident). Look at $$out." >&2; \
	    exit 1; \
	fi; \
	if [ ! -f "$$out/report.html" ]; then \
	    echo "demo: evenkeel run stopped on an incident but wrote no $$out/report.html." >&2; \
	    exit 1; \
	fi; \
	echo; echo "The report: $$PWD/$$out/report.html"; \
	if [ -z "$$CI" ] && [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then \
	    $(BIN)/python -m webbrowser "file://$$PWD/$$out/report.html"; \
	fi
	@echo; echo "The same training with the advice taken:"
	@$(BIN)/python examples/deconvolution_nan/train_fixed.py $(if $(DATA),--data "$(DATA)")

# One thread for each of the two workers: on two cores more threads only wait for one another.
test: setup  ## run the tests (ARGS="-k word" to choose)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not long" $(ARGS)

test-long: setup  ## run those that `make test` leaves out: whole tables of programs started one by one
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m long $(ARGS)

# What else they need is that of .venv, which comes after the folder of their own.
test-frameworks: setup  ## run the programs of the frameworks on the oldest ones supported, with the torch of .venv
	test -x $(FRAMES)/bin/python || $(BIN)/python -m venv $(FRAMES)
	echo "import site; site.addsitedir('$$($(BIN)/python -c "$(PURELIB)")')" > $$($(FRAMES)/bin/python -c "$(PURELIB)")/setup.pth
	$(FRAMES)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-frameworks.txt \
	    lightning transformers accelerate
	OMP_NUM_THREADS=1 $(FRAMES)/bin/python -m pytest -n 2 --dist worksteal -m "not long" -p no:cacheprovider \
	    tests/integrations/test_programs.py tests/integrations/test_callbacks.py $(ARGS)

# Several GB: torch brings its own libraries of CUDA. What meets other people's code is tested.
test-oldest:  ## run the tests of hooks and frameworks on the oldest versions supported, torch too, in .venv-oldest
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt \
	    -c constraints-frameworks.txt \
	    -e '.[lightning,transformers]' pytest pytest-timeout pytest-xdist hypothesis mpmath tqdm
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -n 2 --dist worksteal -m "not long" -p no:cacheprovider \
	    $(MEETING) $(ARGS)

test-newest:  ## run the same on the newest versions there are, in .venv-newest
	test -x $(NEWEST)/bin/python || $(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager \
	    -e '.[lightning,transformers]' pytest pytest-timeout pytest-xdist hypothesis mpmath tqdm
	OMP_NUM_THREADS=1 $(NEWEST)/bin/python -m pytest -n 2 --dist worksteal -m "not long" -p no:cacheprovider \
	    $(MEETING) $(ARGS)

check: setup  ## lint, formatting, types, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# All run, whatever the first ones say; ARGS go to the scores.
bench: setup $(RIVALS)  ## score evenkeel on the planted cases, measure what it costs, beside other tools
	@status=0; \
	OMP_NUM_THREADS=1 $(BIN)/python bench/score_cases.py $(ARGS) || status=1; \
	$(BIN)/python bench/overhead.py || status=1; \
	$(BIN)/python bench/frameworks.py || status=1; \
	$(BIN)/python bench/ranks.py || status=1; \
	$(BIN)/python bench/gpu.py || status=1; \
	$(BIN)/python bench/incident.py || status=1; \
	$(BIN)/python bench/trace.py || status=1; \
	$(BIN)/python bench/accuracy.py --jobs 2 || status=1; \
	$(BIN)/python bench/ops_speed.py || status=1; \
	$(BIN)/python bench/biases.py || status=1; \
	$(BIN)/python bench/metric_ranks.py || status=1; \
	OMP_NUM_THREADS=1 $(BIN)/python bench/recipes_deconvolution.py || status=1; \
	OMP_NUM_THREADS=1 $(BIN)/python bench/recipes_worlds.py || status=1; \
	OMP_NUM_THREADS=1 $(BIN)/python bench/recipes_peers.py --seeds 1 || status=1; \
	OMP_NUM_THREADS=1 $(BIN)/python bench/recipes_virtual_cell.py speed || status=1; \
	exit $$status

$(RIVALS): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints-dev.txt -e '.[bench]'
	@touch $@

clean:  ## remove .venv, caches and build output; evenkeel-runs/ is yours and stays
	rm -rf $(VENV) $(FRAMES) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . \( -name .git -o -name evenkeel-runs \) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
