"""Prompts computed once give what TRL's own rows give: loss, gradients, a step's parameters and the logged ratios."""

import logging

import pytest
import torch
from peft import LoraConfig
from trl import GRPOConfig
from trl.trainer.utils import shuffle_sequence_dict, split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from recipe.inputs.families import LANGUAGE_LAYERS
from recipe.training import shared_prefix
from recipe.training.prefix_attention import Layout
from recipe.training.prefix_packing import Row, divide, divide_further, group, tokens_of
from recipe.training.trainers import GroundingGRPOTrainer
from tests.helpers.tiny_parts import COMMON, parts

LENGTHS = (8, 1, 5, 0, 3, 8, 2, 7)  # answer tokens of the rows; of 0 the whole answer is masked
PROMPTS, EACH = 2, 4
FIELDS = ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")


def reward(completions, **kwargs):
    return [float(place % 2) + 0.1 * place for place in range(len(completions))]


def build_trainer(data, folder, out, peft=None, units="frames", **settings):
    model, processor, _, rows = parts(data, folder, False, None, video_units=units)
    common = {"per_device_train_batch_size": PROMPTS * EACH, "num_generations": EACH, "max_completion_length": 8}
    common |= {"log_multimodal": False, "loss_type": "grpo", "optim": "sgd", "beta": 0.0, "max_grad_norm": 0.0}
    args = GRPOConfig(output_dir=str(out), **COMMON | common | {"learning_rate": 1.0, "logging_steps": 1} | settings)
    trainer = GroundingGRPOTrainer(
        model=model, reward_funcs=[reward], args=args, train_dataset=rows, processing_class=processor, peft_config=peft
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return trainer


def scored(trainer, inputs):
    """Log-probabilities of a micro-batch, without gradients, a few rows at a time as TRL scores a rollout."""
    ids, mask = (
        torch.cat([inputs[f"prompt_{kind}"], inputs[f"completion_{kind}"]], dim=1) for kind in ("ids", "mask")
    )
    fields = {name: inputs.get(name) for name in FIELDS}
    width = inputs["completion_ids"].shape[1]
    with torch.no_grad():
        return trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, width, batch_size=3, **fields)[0]


def make_rollout(trainer):
    """Rows of two prompts of different length in random order, with answers of LENGTHS tokens and ratios that clip."""
    torch.manual_seed(2)
    rows = [dict(trainer.train_dataset[index]) for index in (0, 1) for _ in range(EACH)]
    output = trainer._generate_and_score_completions(rows)
    assert len(set(output["prompt_mask"].sum(dim=1).tolist())) == PROMPTS, "one of the prompts is padded"
    width = output["completion_ids"].shape[1]
    output["completion_mask"] = (torch.arange(width) < torch.tensor(LENGTHS)[:, None]).int()
    output["tool_mask"] = torch.ones_like(output["completion_mask"])
    output["tool_mask"][5, 2:4] = 0
    inputs = unsplit_pixel_values_by_grid(shuffle_sequence_dict(split_pixel_values_by_grid(output)))
    trainer.shared_prefix = False
    old = scored(trainer, inputs)
    return inputs | {"old_per_token_logps": old + 0.3 * torch.randn(old.shape)}


def step(trainer, inputs, shared):
    """Return what a step computes: scores, loss, parameters after it, and what is logged; undoes the step."""
    trainer.shared_prefix = shared
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    result = {"scores": scored(trainer, inputs)}
    trainer._metrics["train"].clear()
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    with torch.no_grad():  # SGD at a rate of 1
        for name, parameter in trainer.model.named_parameters():
            if parameter.grad is not None:
                result[name] = parameter.grad.clone()
                parameter -= parameter.grad
    result |= {f"after {name}": value.clone() for name, value in trainer.model.state_dict().items()}
    result |= {f"logged {name}": torch.tensor(value) for name, value in trainer._metrics["train"].items()}
    trainer.model.load_state_dict(before)
    trainer.model.zero_grad()
    return result | {"loss": loss.detach()}


def assert_same_step(trainer, inputs, monkeypatch):
    packs = []
    upstream = shared_prefix.pack_rows
    monkeypatch.setattr(shared_prefix, "pack_rows", lambda *args: packs.append(args[0]) or upstream(*args))
    own, shared = step(trainer, inputs, False), step(trainer, inputs, True)
    assert packs, "prompts were shared"
    assert own.keys() == shared.keys()
    assert own["scores"].abs().max() > 1
    for name, value in own.items():
        assert torch.allclose(value.float(), shared[name].float(), atol=1e-5, rtol=0, equal_nan=True), name
    return own, packs


@pytest.fixture(scope="module")
def trainer_of(family_checkpoints, tiny_data, tmp_path_factory):
    made = {}

    def get(name):
        if name not in made:
            trainer = build_trainer(tiny_data, family_checkpoints / name, tmp_path_factory.mktemp(name))
            made[name] = trainer, make_rollout(trainer)
        return made[name]

    return get


@pytest.mark.parametrize(
    "name",
    ["glm4v", "qwen3_vl", "qwen2_5_vl", *(pytest.param(n, marks=pytest.mark.slow) for n in ("glm46v", "glmga"))],
)
def test_a_step_is_that_of_own_rows(name, trainer_of, monkeypatch):
    own, packs = assert_same_step(*trainer_of(name), monkeypatch)
    assert own["logged clip_ratio/region_mean"] > 0
    assert [len(pack) for pack in packs[-1]] == [EACH] * PROMPTS, "the update shares both prompts"


@pytest.mark.parametrize(
    "changed",
    [
        {"shared_prefix_tokens": 60},
        {"importance_sampling_level": "response"},
        {"importance_sampling_level": "sequence", "loss_type": "dapo"},
        {"top_entropy_quantile": 0.5, "_entropy_bonus_enabled": True, "entropy_coef": 0.1},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_settings_of_the_loss_keep_their_meaning(changed, trainer_of, monkeypatch):
    trainer, inputs = trainer_of("glm4v")
    for name, value in changed.items():
        monkeypatch.setattr(trainer, name, value)
    _, packs = assert_same_step(trainer, inputs, monkeypatch)
    assert ("shared_prefix_tokens" in changed) == (len(packs[-1]) < PROMPTS), "a small budget takes several forwards"


def test_gradient_checkpointing(trainer_of, monkeypatch):
    trainer, inputs = trainer_of("glm4v")
    trainer.model.gradient_checkpointing_enable()
    try:
        assert_same_step(trainer, inputs, monkeypatch)
    finally:
        trainer.model.gradient_checkpointing_disable()


def test_prompts_of_text(trainer_of, monkeypatch):
    trainer, inputs = trainer_of("qwen3_vl")
    inputs = {name: value for name, value in inputs.items() if name not in FIELDS}
    ids = inputs["prompt_ids"]
    inputs["prompt_ids"] = ids.masked_fill(ids == trainer.model.config.image_token_id, 50)
    assert_same_step(trainer, inputs, monkeypatch)


@pytest.mark.parametrize(
    ("name", "lora"),
    [("qwen3_vl", False), *(pytest.param(*case, marks=pytest.mark.slow) for case in (("glm4v", 0), ("qwen3_vl", 1)))],
)
def test_native_video_with_a_reference_model(name, lora, family_checkpoints, tiny_data, tmp_path, monkeypatch):
    """The reference model, which TRL loads anew, takes pairs too; rows of a prompt share what the processor made."""
    peft = LoraConfig(r=4, target_modules=LANGUAGE_LAYERS, init_lora_weights=False) if lora else None
    trainer = build_trainer(tiny_data, family_checkpoints / name, tmp_path, peft, "pairs", beta=0.1)
    inputs = make_rollout(trainer)
    own, _ = assert_same_step(trainer, inputs, monkeypatch)
    assert own["logged kl"].isfinite().all()
    assert len({part.data_ptr() for part in inputs["pixel_values"].parts}) == PROMPTS
    reference = inputs["ref_per_token_logps"]
    assert (reference.abs().max() > 1) and reference.isfinite().all()


@pytest.mark.slow
def test_lora(family_checkpoints, tiny_data, tmp_path, monkeypatch):
    lora = LoraConfig(r=4, target_modules=LANGUAGE_LAYERS, init_lora_weights=False)
    trainer = build_trainer(tiny_data, family_checkpoints / "glm4v", tmp_path, lora)
    own, _ = assert_same_step(trainer, make_rollout(trainer), monkeypatch)
    assert any("lora_B" in name and value.abs().max() > 1e-4 for name, value in own.items())


@pytest.mark.slow
def test_reused_rollouts_and_divided_steps(family_checkpoints, tiny_data, tmp_path, monkeypatch):
    """Two passes over a rollout, a step of two micro-batches, KL: rows of a prompt meet, and nothing else changes."""
    ends = []
    for shared in (False, True):
        settings = {"steps_per_generation": 4, "gradient_accumulation_steps": 2, "num_iterations": 2, "max_steps": 4}
        settings |= {"per_device_train_batch_size": 4, "beta": 0.1, "learning_rate": 0.1}
        trainer = build_trainer(tiny_data, family_checkpoints / "glm4v", tmp_path / str(shared), **settings)
        trainer.shared_prefix = shared
        trainer.train()
        ends.append(trainer)
    own, shared = (trainer.model.state_dict() for trainer in ends)
    assert all(torch.allclose(value, shared[name], atol=1e-5, rtol=0) for name, value in own.items())
    for before, after in zip(ends[0].state.log_history, ends[1].state.log_history, strict=True):
        for name in {"loss", "grad_norm"} & before.keys():
            assert before[name] == pytest.approx(after[name], abs=1e-5), name


def test_rows_of_a_prompt_meet_in_a_micro_batch_of_their_step(trainer_of):
    _, inputs = trainer_of("glm4v")
    split = split_pixel_values_by_grid(inputs)
    halves = [shared_prefix.taken([split], [(0, 2 * row + part) for row in range(EACH)]) for part in (0, 1)]
    buffer = [unsplit_pixel_values_by_grid(half) for half in halves]
    result = shared_prefix.gathered(buffer, 2)
    assert all(len({tuple(ids.tolist()) for ids in part["prompt_ids"]}) == 1 for part in result)
    rows = {}
    for parts_of in (buffer, result):
        found = set()
        for part in map(split_pixel_values_by_grid, parts_of):
            for row in range(EACH):
                pixels = round(float(part["pixel_values"][row][:].double().sum()), 6)
                found.add((tuple(part["completion_ids"][row].tolist()), float(part["advantages"][row]), pixels))
        rows[id(parts_of)] = found
    assert rows[id(buffer)] == rows[id(result)], "each answer keeps its advantage and its pictures"
    assert shared_prefix.gathered(buffer, 1) is buffer


def test_linear_attention_says_so_and_computes_own_rows(family_checkpoints, trainer_of, caplog):
    trainer, inputs = trainer_of("glm4v")
    config = trainer.model.base_model.language_model.config
    config.layer_types = ["linear_attention", "full_attention"]
    try:
        trainer.shared_prefix = True
        with caplog.at_level(logging.WARNING):
            first, second = scored(trainer, inputs), scored(trainer, inputs)
    finally:
        del config.layer_types
    trainer.shared_prefix = False
    assert torch.equal(first, second)
    assert torch.equal(first, scored(trainer, inputs))
    (said,) = [record.getMessage() for record in caplog.records if "shared_prefix" in record.getMessage()]
    assert "linear_attention" in said


def test_which_families_share(family_checkpoints):
    from transformers import AutoModelForImageTextToText

    reasons = {}
    for name in ("qwen3_5", "qwen2_5_vl", "glmga"):
        model = AutoModelForImageTextToText.from_pretrained(family_checkpoints / name)
        reasons[name] = shared_prefix.why_not(model)
    assert reasons["qwen2_5_vl"] is None
    assert reasons["glmga"] is None
    assert "linear_attention" in reasons["qwen3_5"]
    model.base_model.language_model.config._attn_implementation = "eager"
    assert "sdpa does" in shared_prefix.why_not(model)


def test_a_layer_that_drops_the_layout_is_noticed():
    with pytest.raises(RuntimeError, match="1 of 2 attention layers"):
        Layout([3], [[1]], calls=1).check_used(2)


def row(prompt, answer, pixels=None):
    prompt, answer = torch.tensor(prompt), torch.arange(answer)
    grids = None if pixels is None else torch.tensor([[1, 1, 1]])
    pixels = None if pixels is None else torch.tensor([[pixels]])
    return Row(prompt, torch.zeros_like(prompt), answer, torch.arange(len(answer)), pixels, grids)


def test_rows_are_grouped_by_prompt_and_pictures():
    rows = [row([1, 2], 3, 0.5), row([1, 2], 1, 0.6), row([1, 2], 2, 0.5), row([1, 3], 2, 0.5), row([1, 2], 2)]
    assert group(rows) == [[0, 2], [1], [3], [4]]


def test_a_budget_divides_packs_and_counts_a_prompt_in_each_forward():
    rows = [row([1, 2, 3, 4, 5], length) for length in (3, 3, 0, 3)] + [row([6, 7], 2)]
    groups = group(rows)
    assert tokens_of(groups, rows) == 4 + 3 + 3 + 1 + 3 + 1 + 2
    assert divide(groups, rows, 100) == [groups]
    # 4 + 3 + 3, then the prompt again: 4 + 1 + 3, and 1 + 2 more are 11
    assert divide(groups, rows, 10) == [[[0, 1]], [[2, 3]], [[4]]]
    assert divide(groups, rows, 11) == [[[0, 1, 2]], [[3], [4]]]
    assert divide(groups, rows, 1) == [[[0]], [[1]], [[2]], [[3]], [[4]]], "a row has to go somewhere"


def test_processes_run_as_many_forwards_as_the_one_with_most():
    assert divide_further([[[0, 1, 2, 3], [4]]], 2) == [[[0, 1]], [[2, 3], [4]]]
    assert divide_further([[[0, 1]], [[2]]], 3) == [[[0]], [[1]], [[2]]]
    assert divide_further([[[0]]], 2) == [[[0]]]
