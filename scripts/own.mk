# Records of one's own: TRACKS (JSONL files) and VIDEOS (the folder that their videos lie in) are divided by video, then
# trained and evaluated on. FROM names the stage that begins, from the published checkpoint or from MODEL.
#
#   make grpo RECIPE=qwen3-vl-2b CARD=24 TRACKS=mine.jsonl VIDEOS=videos FROM=sft
TRACKS ?=
VIDEOS ?= .
FROM ?=
$(if $(filter-out cpt sft grpo,$(FROM)),$(error FROM=$(FROM): expected the stage that begins: cpt, sft or grpo))
$(foreach file,$(TRACKS),$(if $(wildcard $(file)),,$(error TRACKS=$(file): no such file; python -m data_prep boxes makes one of annotations)))
$(if $(and $(TRACKS),$(if $(wildcard $(VIDEOS)/.),,missing)),$(error VIDEOS=$(VIDEOS): expected the folder that the videos of TRACKS lie in))

# What stages take from here; ARGS and the like come after it and win.
PUBLISHED = $(shell sed -n 's/^  model_name_or_path: *//p' recipe/configs/models/$(RECIPE).yaml)
START = $(or $(MODEL),$(if $(wildcard $(FOLDER)/.),$(RUN)/base,$(PUBLISHED)))
part = $(if $(TRACKS),--tracks $(RUN)/tracks/$(1).jsonl --video_root $(VIDEOS))
own = $(if $(filter $(1),$(FROM)),--model_name_or_path $(START)) $(if $(TRACKS),$(if $(filter sft,$(1)),--tracks $(RUN)/traces/traces.jsonl --video_root $(VIDEOS),$(call part,train)) --validation_tracks $(RUN)/tracks/val.jsonl)

# The first step divides the records; it takes the place of those that make the recipe's own data.
FIRST := $(if $(TRACKS),own)
S_own = data_prep split $(TRACKS) --out $(RUN)/tracks $(DATA_ARGS)
LEFT_OUT := $(if $(filter sft grpo,$(FROM)),cpt) $(if $(filter grpo,$(FROM)),traces sft) $(if $(TRACKS),data rows)
