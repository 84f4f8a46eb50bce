"""What make is told is read before the first stage begins: the parser of each step, and whether the steps meet."""

import shlex

import pytest

from recipe.checks.plan import parse, split

TINY_EVAL = "--config recipe/configs/tiny/eval.yaml"
DATA = "data_prep synthetic --config recipe/configs/tiny/data.yaml --out runs/tiny/data"
TRACES = "data_prep traces --tracks a.jsonl --out runs/tiny/traces --prompts traces-tiny"
BASE = "recipe.tiny --config recipe/configs/tiny/model.yaml"
CPT = "recipe.cpt --config recipe/configs/tiny/cpt.yaml"
SFT = "recipe.sft --config recipe/configs/tiny/sft.yaml"
GRPO = "recipe.grpo --config recipe/configs/tiny/grpo.yaml"
TABLE = "recipe.studies.before_after --config recipe/configs/tiny/eval.yaml"
EVAL = (
    "recipe.evaluate --config recipe/configs/tiny/eval.yaml --model runs/tiny/sft --out runs/tiny/sft/eval/greedy.json"
)
REWARDS = f"recipe.studies.rewards {TINY_EVAL} --config recipe/configs/tiny/paper-mini-rewards.yaml"
RATES = f"recipe.studies.frame_rates {TINY_EVAL} --config recipe/configs/tiny/frame-rates.yaml"
PAGE = f"recipe.studies.paper_mini {TINY_EVAL} --config recipe/configs/tiny/paper-mini.yaml"


def planned(*steps, own="--recipe tiny"):
    """The steps of a plan that is written as make writes it."""
    return parse(shlex.split(" ".join([own, *(f"then {step}" for step in steps)])))[0]


def test_the_whole_recipe_is_read():
    steps = planned(DATA, BASE, CPT, TRACES, SFT, GRPO, f"{TABLE} -- {GRPO.partition(' ')[2]}")
    names = ["data_prep synthetic", "tiny", "cpt", "data_prep traces", "sft", "grpo", "studies.before_after"]
    assert [step.name for step in steps] == names
    assert steps[5].read[1].output_dir == "runs/tiny/grpo-tiou_mviou-s0"


def test_no_steps_is_a_plan_too():
    assert planned() == []
    assert split([]) == [[]]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([f"{DATA} --scal 0.1"], "data_prep synthetic: unknown option '--scal'; did you mean '--scale'?"),
        ([f"{DATA[:-40]}none.yaml --out x"], "data_prep synthetic: .*No such file"),
        (
            [DATA, f"{TRACES} --promts traces"],
            "data_prep traces: unknown option '--promts'; did you mean '--prompts'?",
        ),
        (
            ["recipe.inputs.export --config recipe/configs/glm-4.1v-9b/traces.yaml"],
            "the traces of glm-4.1v-9b come with its data: make data RECIPE=glm-4.1v-9b",
        ),
        ([f"{TRACES} --prompts no-such"], "data_prep traces: .*no-such"),
        ([f"{TRACES} --teacher openai"], "data_prep traces: --teacher openai needs --base_url"),
        (["data_prep build no-such.yaml"], "data_prep build: .*No such file.*no-such.yaml"),
        (["data_prep build recipe/configs/full/data.yaml --teach x"], "data_prep build: unknown option '--teach'"),
        ([CPT, f"{SFT} --max_stps 3"], "sft: unknown option '--max_stps'; did you mean '--max_steps'?"),
        ([CPT, f"{SFT} --max_steps many"], "sft: argument --max_steps.*invalid int value: 'many'"),
        ([f"{SFT} --prompts no-such"], "sft: prompt template .*no-such/ground.txt: no such file"),
        ([f"{GRPO} --reward vioux"], "grpo: reward 'vioux' is unknown; .*did you mean 'viou'"),
        ([f"{GRPO} --reward no_such_file.py:f"], "grpo: .*no_such_file"),
        ([f"{GRPO} --reward_weights 1.0"], r"grpo: reward_weights \[1.0\] has 1 values"),
        ([f"{GRPO} --seed x"], "grpo: argument --seed: invalid int value: 'x'"),
        ([f"{GRPO} --save_steps 51"], "grpo: save_steps 51 falls inside a rollout"),
        ([f"{GRPO} --help"], "grpo: help was asked for, so nothing is run"),
        ([f"{GRPO} --config no.yaml"], "grpo: .*no.yaml"),
        ([f"{TABLE} --limt 3"], "studies.before_after: unknown option '--limt'; did you mean '--max_records'?"),
        ([f"{EVAL} --repeats 3"], "evaluate: --repeats above 1 needs --temperature above 0"),
        ([f"{REWARDS} --seeds 1"], "studies.rewards: --seeds .*expected at least 2"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_step(steps, message, capsys):
    with pytest.raises(ValueError, match=message) as error:
        planned(*steps)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("--recipe tinny", "RECIPE=tinny: there is no such recipe in recipe/configs; did you mean 'tiny'?"),
        ("--recipe peft", "RECIPE=peft: there is no such recipe in recipe/configs; there are glm-4.1v-9b, .*tiny$"),
        ("--recipe ''", "RECIPE=: there is no such recipe"),
        ("--recpe tiny", "unknown option '--recpe'; did you mean '--recipe'?"),
        ("--launch recipe/configs/tiny/data.yaml", "no settings of accelerate"),
    ],
)
def test_what_make_itself_was_told(own, message):
    from data_prep.errors import StageError

    with pytest.raises((ValueError, StageError), match=message):
        planned(own=own)


@pytest.mark.parametrize(
    ("step", "option"),
    [(DATA, "--out"), (TRACES, "--out"), (EVAL, "--out"), (EVAL, "--model")],
)
@pytest.mark.parametrize("form", ["{} x", "{}=x"])
def test_what_make_says_itself_is_not_said_again(step, option, form):
    with pytest.raises(ValueError, match=rf"{option} is make's, .*: choose the run's folder with RUN=FOLDER"):
        planned(f"{step} {form.format(option)}")


def test_each_stage_reads_what_the_one_before_wrote():
    with pytest.raises(ValueError, match=r"cpt: --output_dir x, but sft goes on from runs/tiny/cpt: .*RUN=FOLDER"):
        planned(f"{CPT} --output_dir x", TRACES, SFT)
    with pytest.raises(ValueError, match=r"sft: --output_dir x, but grpo goes on from runs/tiny/sft"):
        planned(CPT, f"{SFT} --output_dir x", GRPO)
    for after, stage in ((EVAL, SFT), (REWARDS, SFT), (RATES, CPT)):
        with pytest.raises(ValueError, match="--output_dir x, but .* goes on from runs/tiny"):
            planned(f"{stage} --output_dir x", after)
        assert planned(stage, after)
    assert planned(CPT, f"{SFT} --output_dir x"), "the last one writes where it is told"
    assert planned(f"{CPT} --output_dir x", f"{SFT} --model_name_or_path x"), "they meet elsewhere"


def test_the_page_is_made_from_the_studies_before_it():
    assert planned(CPT, SFT, RATES, REWARDS, PAGE)
    for wrong in (RATES, REWARDS):
        with pytest.raises(ValueError, match="--study_out x, but the page is made from runs/tiny"):
            planned(CPT, SFT, f"{wrong} --study_out x", PAGE)


def test_neither_data_nor_checkpoint_is_asked_for(tmp_path, monkeypatch):
    """An earlier stage may still have to make them."""
    monkeypatch.setenv("RUN", str(tmp_path / "none"))
    assert len(planned(CPT, SFT, GRPO)) == 3
    assert not (tmp_path / "none").exists()
