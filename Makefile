# `make` prints the verbs. Each does its own set-up from a bare checkout and is the same thing that CI runs.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python

# A path as one word for the shell, whatever is in it; `~/` at its beginning is still the home folder.
expanded = $(subst |~|,,$(subst |~|~/,$(HOME)/,|~|$(1)))
quoted = '$(subst ','\'',$(call expanded,$(1)))'

DATA   ?= data/ham10000
CONFIG ?= ham10000
CONFIG_FILE := $(call quoted,lightning_module/configs/$(CONFIG).yaml)
CKPT   ?= $(or $(shell sed -n 's/^  default_root_dir: *//p' $(CONFIG_FILE)),$(error CONFIG=$(CONFIG) is no file of lightning_module/configs that says where its checkpoints lie: mend it, or give CKPT=))/best.ckpt
BUNDLE ?= bundles/lesion
REPORT ?= reports/lesion
# A CPU build of torch may already be configured for pip; elsewhere this takes the CUDA build.
TORCH  ?= torch==2.13.0 torchvision==0.28.0

.DEFAULT_GOAL := help
.PHONY: help serve test lint format train evaluate bundle archive bench image base-image k8s-validate k8s-smoke monitor

help: ## show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  \033[1mmake %-13s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/.serve ## run TorchServe and the gateway with the shipped model; Ctrl-C stops both
	@exec $(PY) -m stack serve

test: $(VENV)/.dev ## run every test (starts the real TorchServe, gateway, Chromium, Prometheus)
	$(PY) -m pytest --numprocesses 2 --dist loadfile --max-worker-restart 0 $(ARGS)

lint: $(VENV)/.dev ## check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.dev ## format the code and mend what can be mended
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

train: $(VENV)/.dev ## train: make train DATA=path/to/ham10000 [CONFIG=ham10000] [ARGS="--trainer.max_epochs 3"]
	$(PY) -m lightning_module fit --config $(CONFIG_FILE) --data.folder $(call quoted,$(DATA)) $(ARGS)

bundle: $(VENV)/.dev ## calibrate and quantise a checkpoint: make bundle DATA=... [CONFIG=ham10000] [CKPT=runs/lesion/best.ckpt]
	$(PY) -m lightning_module bundle --ckpt $(call quoted,$(CKPT)) --data $(call quoted,$(DATA)) --output $(call quoted,$(BUNDLE)) $(ARGS)

evaluate: $(VENV)/.dev ## report on a bundle: make evaluate BUNDLE=bundles/lesion DATA=...
	$(PY) -m lightning_module evaluate --bundle $(call quoted,$(BUNDLE)) --data $(call quoted,$(DATA)) --output $(call quoted,$(REPORT)) $(ARGS)

archive: $(VENV)/.dev ## pack a bundle and the handler into model_store/lesion.mar
	$(PY) -m lightning_module archive --bundle $(call quoted,$(BUNDLE)) --output model_store/lesion.mar $(ARGS)

bench: $(VENV)/.dev ## measure speed against peers on this machine (minutes); results in bench/results
	$(PY) -m bench $(ARGS)

image: ## build the container image with docker, podman or buildah, whichever is there
	image/build.sh $(ARGS)

base-image: ## make the base image from Debian packages, for sites without a registry
	image/base.sh $(ARGS)

k8s-validate: $(VENV)/.dev ## check every manifest: schemas, cross-references, policy
	$(PY) -m k8s.validate $(ARGS)

k8s-smoke: ## check the deployment on the cluster that kubectl reaches
	k8s/smoke.sh $(ARGS)

monitor: $(VENV)/.dev ## run Prometheus and Alertmanager with our rules on the running stack
	$(PY) k8s/monitoring/monitor.py $(ARGS)

$(PY):
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 12) else f"Python 3.11 or 3.12 is needed, this is {v.major}.{v.minor}: make PYTHON=python3.11 ...")'
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: pyproject.toml | $(PY)
	@echo "installing what serving needs into $(VENV) (about a minute, once)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -e '.[serve]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(PY)
	@echo "installing what training and tests need into $(VENV) (some minutes, once)"
	@$(PY) -m pip install --quiet --disable-pip-version-check $(TORCH)
	@$(PY) -m pip install --quiet --disable-pip-version-check -e '.[serve,train,dev]'
	@touch $@ $(VENV)/.serve
