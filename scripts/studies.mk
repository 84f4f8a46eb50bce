# The paper's tables, figures and studies: steps and targets that the Makefile runs as it runs the stages. Nothing of the
# recipe needs this file. Options of a step: FPS_ARGS UNITS_ARGS REWARDS_ARGS QUESTIONS_ARGS.
shared = --config $(or $(call has,$(1)),recipe/configs/studies/$(1).yaml)
study = $(call conf,eval) $(call shared,$(1))

S_lift = recipe.studies.lift $(call study,lift) $(call args,study-lift)
S_rewards = recipe.studies.rewards $(call study,rewards) $(call args,reward-study)
S_scenes = $(if $(call has,scenes),data_prep synthetic --config $(FOLDER)/scenes.yaml --out $(RUN)/scenes $(DATA_ARGS))
S_rates = recipe.studies.frame_rates $(call study,frame-rates) $(FPS_ARGS) $(call args,fps-study)
S_unitclips = $(if $(call has,unit-clips),data_prep synthetic --config $(FOLDER)/unit-clips.yaml --out $(RUN)/unit-clips $(DATA_ARGS))
S_unitbase = $(if $(call has,model),recipe.tiny --config $(FOLDER)/model.yaml --tracks $(RUN)/unit-clips/train.jsonl --digits 1 --out $(RUN)/video-units/base)
S_units = $(if $(call has,video-units),recipe.studies.video_units $(call study,video-units) $(EVAL_ARGS) $(if $(filter runs/tiny,$(RUN)),--page docs/video-units.md) $(UNITS_ARGS) $(call args,video-units))
S_asked = data_prep synthetic --config $(FOLDER)/questions.yaml --out $(RUN)/questions $(DATA_ARGS)
MINI_RUNS := $(if $(GPU),--config $(FOLDER)/paper-mini-gpu-runs.yaml)
S_mini = recipe.studies.rewards $(call study,rewards) --config $(FOLDER)/paper-mini-rewards.yaml $(MINI_RUNS) $(REWARDS_ARGS)
S_kept = recipe.studies.questions $(call study,retention-study) $(MINI_RUNS) $(QUESTIONS_ARGS)
# The page of the recipe's own run is the documented one; others lie in their run's folder.
S_page = recipe.studies.paper_mini $(call study,paper-mini) $(if $(GPU),--config $(FOLDER)/paper-mini-gpu.yaml) $(EVAL_ARGS) $(if $(filter runs/tiny,$(RUN)),--page docs/paper-mini$(if $(GPU),-gpu).md) $(call args,paper-mini)
S_table1 = recipe.studies.table1 $(call shared,table1) $(call args,table1)
S_figure3 = recipe.studies.figure3 $(call shared,figure3) --fps_study $(RUN)/fps-study.json --reward_study $(or $(wildcard $(RUN)/reward-study.json),$(RUN)/paper-mini/reward-study.json) $(call args,figure3)
S_figure4 = recipe.studies.figure4 $(call shared,figure4) $(call args,figure4)

study-lift: steps  ## the lift over SFT with 3 seeds and two controls, after grpo; takes hours
reward-study: steps  ## four rewards from one SFT checkpoint, 3 seeds each, after sft; takes hours
fps-study: steps  ## training at 0.5, 1, 2 and 4 frames a second and dynamic, after cpt; installs TrackEval; ten minutes
video-units: steps  ## pairs of frames against still pictures at equal steps and equal tokens, 3 seeds, written to docs/video-units.md
paper-mini: steps  ## the paper's studies and claims in miniature, written to docs/paper-mini.md; an hour and a half
table1: steps  ## the recipe's systems of table 1, beside the published numbers; what is missing stays empty
figure3: steps  ## Video-MME-v2 head-to-head, frame rates and rewards in one picture, from what was measured
figure4: steps  ## chosen cases as contact sheets and overlay videos, model by model, on one page

STEPS_study-lift := $(STEPS_grpo) lift
STEPS_reward-study := $(STEPS_sft) rewards
STEPS_fps-study := $(STEPS_cpt) scenes rates
STEPS_video-units := unitclips unitbase units
STEPS_paper-mini := $(STEPS_sft) scenes rates asked mini kept page

install-studies: install  ## add TrackEval for the frame-rate study
	@$(call add,trackeval,studies)
.PHONY: study-lift reward-study fps-study video-units paper-mini table1 figure3 figure4 install-studies
