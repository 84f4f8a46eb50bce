"""vLLM rollouts: the small functions anywhere, and (marked) five real GRPO steps with real vLLM on a CPU.

.venv-vllm/bin/python -m pytest -m vllm tests/test_recipe_vllm_rollout.py
"""

import importlib.util
from types import SimpleNamespace

import recipe  # noqa: F401  (first: it lets torchvision be imported)

# isort: split
import pytest

pytest.importorskip("trl")

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig
from trl.data_utils import prepare_multimodal_messages
from trl.generation import vllm_generation

from data_prep.stages import StageError
from recipe.inference.generation import generate
from recipe.inputs.families import FAMILIES
from recipe.rollouts import vllm as vllm_rollout
from recipe.rollouts.lora_sync import keep_base
from recipe.rollouts.vllm import ImageGRPOTrainer, check_same_prompts, collapse_runs, suppress_image_tokens
from recipe.training.vllm_answers import AT_ONCE, answers_through_vllm

STEPS, PROMPTS, SAMPLES, LENGTH = 5, 8, 4, 32


@pytest.mark.parametrize(
    ("ids", "collapsed"),
    [
        ([], []),
        ([1, 2, 2, 3], [1, 2, 2, 3]),  # other tokens may repeat
        ([9, 9, 9], [9]),
        ([1, 9, 9, 2, 9, 3], [1, 9, 2, 9, 3]),  # one token a picture, whatever its size
    ],
)
def test_collapse_runs(ids, collapsed):
    assert collapse_runs(ids, token=9) == collapsed


def test_prompts_that_differ_are_an_error():
    check_same_prompts([], [], 9)
    check_same_prompts([(1, 9, 2)], [[1, 9, 2]], 9)
    with pytest.raises(
        RuntimeError, match=r"prompt 1: vLLM read 4 tokens \(3 of pictures\), the trainer scores 3 \(2 of"
    ):
        check_same_prompts([[1], [9, 9, 9, 2]], [[1], [9, 9, 2]], 9)
    with pytest.raises(RuntimeError, match="first difference at token 1"):  # cut short: equal as far as it goes
        check_same_prompts([[1]], [[1, 2]], 9)


def test_image_tokens_are_suppressed_beside_other_settings():
    args = SimpleNamespace(generation_kwargs={"seed": 3, "logit_bias": {5: 1.0}})
    suppress_image_tokens(args, SimpleNamespace(image_token_id=7, video_token_id=8))
    assert args.generation_kwargs == {"seed": 3, "logit_bias": {5: 1.0, 7: -100.0, 8: -100.0}}


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_one_line_says_what_to_do(tmp_path):
    args = GRPOConfig(str(tmp_path), use_vllm=True, use_cpu=True, bf16=False, report_to=[])
    with pytest.raises(StageError, match="make install-vllm"):
        ImageGRPOTrainer(model=None, args=args)


def test_extra_options_reach_the_engine_for_as_long_as_it_is_made(monkeypatch):
    def engine(**kwargs):
        return kwargs

    monkeypatch.setattr(vllm_generation, "LLM", engine, raising=False)
    with vllm_rollout.extra_llm_options({"dtype": "float32", "seed": 1}):
        assert vllm_generation.LLM(seed=0) == {"dtype": "float32", "seed": 0}  # what TRL passes wins
    assert vllm_generation.LLM is engine
    with pytest.raises(ZeroDivisionError), vllm_rollout.extra_llm_options({"dtype": "float32"}):
        raise ZeroDivisionError
    assert vllm_generation.LLM is engine


PICTURE = 9


class StubEngine:
    """What TRL's `vllm_generation` is to the trainer: notes what it is asked, expands pictures to two tokens."""

    def __init__(self):
        self.events = []
        engine = SimpleNamespace(reset_encoder_cache=lambda: self.events.append("reset"))
        self.llm = SimpleNamespace(llm_engine=engine)
        session = SimpleNamespace(post=self.post)
        self.vllm_client = SimpleNamespace(session=session, base_url="http://server:8000")
        self.expand = lambda ids: [token for one in ids for token in ([one] * 2 if one == PICTURE else [one])]

    def post(self, address):
        self.events.append(address)
        return SimpleNamespace(raise_for_status=lambda: self.events.append("status"))

    def sync_weights(self):
        self.events.append("sync")

    def generate(self, prompts, images, num_generations, profiler):
        self.events.append("generate")
        self.asked = (prompts, images, num_generations)
        # Two positions a completion, each with the sampled token's log-probability first and a likelier one's after.
        logprobs = [[[-3.0, -1.0], [-4.0, -0.5]] for _ in prompts]
        return [self.expand(ids) for ids in prompts], [[5, 6] for _ in prompts], logprobs, None


def stubbed(mode="colocate", main=True, step=3):
    """A trainer that has loaded the weights of step 2 and is at `step`, without a model and without vLLM."""
    trainer = ImageGRPOTrainer.__new__(ImageGRPOTrainer)
    trainer.use_vllm, trainer.vllm_mode = True, mode
    trainer.state, trainer._last_loaded_step = SimpleNamespace(global_step=step), 2
    trainer.vllm_generation = StubEngine()
    trainer.model = SimpleNamespace(config=SimpleNamespace(image_token_id=PICTURE, video_token_id=8))
    trainer.processing_class = None
    trainer.accelerator = SimpleNamespace(is_main_process=main, device=torch.device("cpu"))
    trainer.args = SimpleNamespace(report_to=[])
    return trainer


SCORED = [[1, 9, 9, 2, 9, 9], [3, 9, 9]]  # as TRL's processor expands them: two tokens a picture
IMAGES = [["a", "b"], ["c"]]


def test_vllm_gets_one_token_a_picture_and_the_sampled_log_probabilities_come_back():
    trainer = stubbed()
    completions, logprobs = trainer._generate_single_turn(SCORED, IMAGES, {}, 2)
    assert trainer.vllm_generation.asked == ([[1, 9, 2, 9], [3, 9]], IMAGES, 2)
    assert completions == [[5, 6], [5, 6]]
    assert logprobs == [[-3.0, -4.0], [-3.0, -4.0]]


def test_what_vllm_read_is_compared_with_what_is_scored():
    trainer = stubbed()
    trainer.vllm_generation.expand = lambda ids: [
        token for one in ids for token in [one] * (3 if one == PICTURE else 1)
    ]
    with pytest.raises(RuntimeError, match=r"prompt 0: vLLM read 8 tokens \(6 of pictures\), the trainer scores 6"):
        trainer._generate_single_turn(SCORED, IMAGES, {}, 1)


def test_new_weights_empty_the_encoder_cache_before_anything_is_generated():
    trainer = stubbed()
    trainer._generate_single_turn(SCORED, IMAGES, {}, 1)
    assert trainer.vllm_generation.events == ["sync", "reset", "generate"]
    trainer._generate_single_turn(SCORED, IMAGES, {}, 1)
    assert trainer.vllm_generation.events == ["sync", "reset", "generate", "generate"], (
        "the same step: the same weights"
    )
    trainer.state.global_step += 1
    trainer._generate_single_turn(SCORED, None, {}, 1)
    assert trainer.vllm_generation.events[4:] == ["sync", "reset", "generate"], (
        "without pictures it is upstream's turn"
    )


@pytest.mark.parametrize("main", [True, False])
def test_a_server_is_told_once_to_empty_its_encoder_cache(main):
    trainer = stubbed(mode="server", main=main)
    trainer.vllm_generation.expand = list  # the client collapses what it sends, where the server reads files
    trainer._generate_single_turn(SCORED, IMAGES, {}, 1)
    assert trainer.vllm_generation.asked == (SCORED, IMAGES, 1)
    told = ["http://server:8000/reset_encoder_cache", "status"] if main else []
    assert trainer.vllm_generation.events == ["sync", *told, "generate"]


# The rest needs vLLM: one engine in this process, made once.


def real_vllm(test):
    return pytest.mark.vllm(pytest.mark.slow(pytest.mark.timeout(1200)(test)))


def pictures(count, seed):
    noise = np.random.default_rng(seed)
    return [Image.fromarray(noise.integers(0, 256, (48, 48, 3), dtype=np.uint8)) for _ in range(count)]


def question(count):
    frames = [part for k in range(count) for part in ({"type": "text", "text": f"{k}.0: "}, {"type": "image"})]
    return [{"role": "user", "content": [*frames, {"type": "text", "text": "where is the red square?"}]}]


def filled(count, seed):
    """The question with its pictures in their places."""
    return prepare_multimodal_messages(question(count), images=pictures(count, seed))


def processed(processor, messages):
    """What Hugging Face's model takes, padded on the left."""
    return processor.apply_chat_template(
        messages,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True, "padding_side": "left"},
    )


def with_answers(inputs, answers):
    """The model's inputs with a rectangle of answer tokens (rows x width) after the prompts."""
    longer = {"input_ids": answers, "attention_mask": torch.ones_like(answers)}
    longer["mm_token_type_ids"] = torch.zeros_like(answers)
    return dict(inputs) | {key: torch.cat([inputs[key], added], dim=1) for key, added in longer.items()}


def build_checkpoint(folder):
    """The tiny architecture, taught for seconds not to name the tokens of pictures, as any trained model is.

    A fresh one gives each token about 1/300 of the probability. vLLM, which may not sample those of pictures, gives
    the others as much more, 10 % over a completion, and the trainer rightly reports that.
    """
    from recipe.tiny import TinyArguments, build_model, build_processor, build_tokenizer

    texts = [f"{k}.0: where is the red square? [{a}, {b}]" for k in range(9) for a in range(40) for b in (7, 55, 310)]
    args = TinyArguments(layers=2)
    tokenizer = build_tokenizer(iter(texts))
    processor = build_processor(tokenizer, args)
    model = build_model(tokenizer, args)
    inputs = processed(processor, [filled(4 + n % 3, seed=200 + n) for n in range(16)])
    never = [model.config.image_token_id, model.config.video_token_id]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(60):
        answers = torch.randint(max(never) + 1, len(tokenizer), (16, LENGTH))  # text that says nothing
        scores = model(**with_answers(inputs, answers)).logits[:, -LENGTH - 1 : -1].log_softmax(-1)
        (scores[..., never] + 14).relu().mean().backward()  # e^-14: one in a million
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def digit_share(completions, **kwargs):
    texts = [completion[0]["content"] for completion in completions]
    return [sum(character.isdigit() for character in text) / max(1, len(text)) for text in texts]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Five GRPO steps; the trainer and, a rollout batch each, (prompts scored, prompts vLLM was sent, and read)."""
    pytest.importorskip("vllm")
    from datasets import Dataset

    folder = tmp_path_factory.mktemp("vllm")
    build_checkpoint(folder / "base")
    rows = [{"prompt": question(4 + n % 3), "images": pictures(4 + n % 3, seed=n)} for n in range(16)]
    args = GRPOConfig(
        str(folder / "out"),
        bf16=False,
        disable_tqdm=True,
        gradient_checkpointing=False,
        learning_rate=1e-3,
        log_multimodal=False,
        logging_steps=1,
        lr_scheduler_type="constant",
        max_completion_length=LENGTH,
        max_steps=STEPS,
        num_generations=SAMPLES,
        per_device_train_batch_size=PROMPTS * SAMPLES,
        report_to=[],
        save_strategy="no",
        seed=3,
        use_cpu=True,
        use_vllm=True,
        vllm_max_model_length=512,
        vllm_mode="colocate",
        warmup_steps=0,
    )
    trainer = ImageGRPOTrainer(
        model=AutoModelForImageTextToText.from_pretrained(folder / "base", dtype=torch.float32),
        reward_funcs=digit_share,
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoProcessor.from_pretrained(folder / "base", padding_side="left"),
    )
    seen = []
    tokenize, generate = trainer._tokenize_prompts, trainer.vllm_generation.llm.generate

    def note_scored(prompts):
        result = tokenize(prompts)
        seen.append([result[0]])
        return result

    def note_read(prompts, **kwargs):
        outputs = generate(prompts, **kwargs)
        seen[-1] += [[p["prompt_token_ids"] for p in prompts], [list(out.prompt_token_ids) for out in outputs]]
        return outputs

    trainer._tokenize_prompts, trainer.vllm_generation.llm.generate = note_scored, note_read
    start = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.train()
    trainer._tokenize_prompts, trainer.vllm_generation.llm.generate = tokenize, generate
    unmoved = [name for name, p in trainer.model.named_parameters() if torch.equal(p, start[name])]
    return SimpleNamespace(trainer=trainer, seen=seen, unmoved=unmoved)


@pytest.fixture(scope="module")
def batch(run):
    """Eight prompts with pictures that no step has seen, for the trainer and for Hugging Face's model."""
    trainer = run.trainer
    messages = [
        prepare_multimodal_messages(question(4 + n % 3), images=pictures(4 + n % 3, seed=100 + n))
        for n in range(PROMPTS)
    ]
    ids, images, fields = trainer._tokenize_prompts(messages)
    never = [trainer.model.config.image_token_id, trainer.model.config.video_token_id]
    inputs = processed(trainer.processing_class, messages)
    return SimpleNamespace(messages=messages, ids=ids, images=images, fields=fields, inputs=inputs, never=never)


@torch.inference_mode()
def hf_logprobs(model, batch, completions):
    """log-probability of each token of each completion by Hugging Face's model, image tokens excluded."""
    width = max(map(len, completions))
    answers = torch.tensor([row + [0] * (width - len(row)) for row in completions])
    logits = model(**with_answers(batch.inputs, answers)).logits[:, -width - 1 : -1]
    logits[..., batch.never] = -torch.inf
    scores = logits.log_softmax(-1).gather(-1, answers[..., None])[..., 0].tolist()
    return [row[: len(completion)] for row, completion in zip(scores, completions, strict=True)]


def largest_difference(ours, theirs):
    return max(abs(a - b) for row, other in zip(ours, theirs, strict=True) for a, b in zip(row, other, strict=True))


@real_vllm
def test_importance_ratio_is_one_at_every_step(run):
    ratio = "sampling/importance_sampling_ratio/"
    logs = [entry for entry in run.trainer.state.log_history if ratio + "mean" in entry]
    assert len(logs) == STEPS
    for entry in logs:
        assert 0.999 <= entry[ratio + "min"] <= entry[ratio + "mean"] <= entry[ratio + "max"] <= 1.001
        assert entry["sampling/sampling_logp_difference/max"] < 1e-3
    assert run.unmoved == []  # and the policy moved under it, vision tower and head included


@real_vllm
def test_prompts_read_are_the_prompts_scored(run):
    picture = run.trainer.model.config.image_token_id
    assert len(run.seen) == STEPS
    for scored, sent, read in run.seen:
        assert read == scored
        assert len(read) == PROMPTS * SAMPLES
        for short, long in zip(sent, read, strict=True):
            # 48 x 48 pixels in patches of 12, merged 2 x 2: four tokens a picture, sent as one
            assert long.count(picture) == 4 * short.count(picture) in (16, 20, 24)


@real_vllm
def test_expanded_image_tokens_are_expanded_again_without_the_override(run, batch):
    """Fails once upstream is mended; then the override of generation can go."""
    read, *_ = run.trainer.vllm_generation.generate(prompts=batch.ids, images=batch.images, num_generations=1)
    with pytest.raises(RuntimeError, match="vLLM read .* the trainer scores"):
        check_same_prompts(read, batch.ids, run.trainer.model.config.image_token_id)


@real_vllm
def test_greedy_text_is_hugging_faces(run, batch):
    generation = run.trainer.vllm_generation
    temperature, generation.temperature = generation.temperature, 0.0
    completions, _ = run.trainer._generate_single_turn(batch.ids, batch.images, batch.fields, num_generations=1)
    generation.temperature = temperature
    output = run.trainer.model.generate(
        **batch.inputs, do_sample=False, max_new_tokens=LENGTH, suppress_tokens=batch.never
    )
    decode = run.trainer.processing_class.batch_decode
    texts = decode(completions, skip_special_tokens=True)
    assert texts == decode(output[:, batch.inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert sum(map(len, texts)) > 100


@real_vllm
def test_held_out_clips_are_answered_greedily_with_the_weights_of_the_step(run):
    """By the engine that samples rollouts at T = 1: the same texts as from Hugging Face's generate."""
    trainer = run.trainer
    rows = {
        f"{n}": {"id": f"{n}", "prompt": question(4 + n % 3), "images": pictures(4 + n % 3, seed=300 + n)}
        | {"box_scale": [1000, 1000]}
        for n in range(AT_ONCE + 1)
    }
    builder = SimpleNamespace(row=lambda name: rows[name])
    settings = dict(vars(trainer.vllm_generation))
    before = answers_through_vllm(trainer, builder, list(rows), LENGTH)
    noise, kept = torch.Generator().manual_seed(1), {}
    with torch.no_grad():  # far away: five steps have taught it to answer nothing but digits
        for name, parameter in trainer.model.named_parameters():
            kept[name] = parameter.clone()
            parameter.add_(parameter.std() * torch.randn(parameter.shape, generator=noise))
    trainer.state.global_step += 1
    found = answers_through_vllm(trainer, builder, list(rows), LENGTH)
    texts = generate(trainer.model, trainer.processing_class, list(rows.values()), max_new_tokens=LENGTH)
    trainer.model.load_state_dict(kept, strict=False)
    trainer._last_loaded_step = -1
    assert found == [(name, text, (1000, 1000)) for name, text in zip(rows, texts, strict=True)]
    assert found != before, "and not with those of the step before"
    assert dict(vars(trainer.vllm_generation)) == settings, "the next rollout is sampled as before"


@real_vllm
def test_no_picture_is_ever_sampled(run, batch):
    """Of a model to which the picture's token is the likeliest."""
    trainer, picture = run.trainer, run.trainer.model.config.image_token_id
    head = trainer.model.lm_head.weight
    with torch.no_grad():
        kept = head[picture].clone()
        likeliest = trainer.model(**batch.inputs).logits[0, -1].argmax()
        head[picture] = 3 * head[likeliest]
        assert trainer.model(**batch.inputs).logits[0, -1].argmax() == picture
        trainer._last_loaded_step = -1
        completions, _ = trainer._generate_single_turn(batch.ids, batch.images, batch.fields, num_generations=1)
        head[picture] = kept
        trainer._last_loaded_step = -1
    assert all(picture not in row for row in completions)


@real_vllm
def test_logprobs_follow_new_weights_of_both_towers(run, batch, monkeypatch):
    trainer = run.trainer
    rollout = (batch.ids, batch.images, batch.fields, 1)

    def after_change(part):
        """vLLM's and Hugging Face's log-probabilities of one rollout, after noise on the weights of a part."""
        noise, size = torch.Generator().manual_seed(0), {"language": 0.2, "vision": 1.0}[part]
        with torch.no_grad():
            for name, parameter in trainer.model.named_parameters():
                if ("visual" in name) == (part == "vision"):
                    parameter.add_(size * parameter.std() * torch.randn(parameter.shape, generator=noise))
        trainer._last_loaded_step = -1  # as after an optimizer step
        completions, theirs = trainer._generate_single_turn(*rollout)
        return theirs, hf_logprobs(trainer.model, batch, completions)

    completions, theirs = trainer._generate_single_turn(*rollout)
    before = hf_logprobs(trainer.model, batch, completions)
    assert largest_difference(before, theirs) < 1e-3
    for part in ("language", "vision"):
        assert largest_difference(*after_change(part)) < 1e-3
        after = hf_logprobs(trainer.model, batch, completions)
        assert largest_difference(before, after) > 0.02  # the change was one that shows
        before = after
    # Fails once upstream empties the encoder cache itself; then ours can go.
    monkeypatch.setattr(trainer, "_reset_encoder_cache", lambda: None)
    stale = largest_difference(*after_change("vision"))
    print(f"largest difference of a log-probability with stale image features: {stale:.2f}")
    assert stale > 0.02


@real_vllm
def test_vllm_answers_with_the_adapter_and_the_base_stays(run, batch):
    trainer, generation = run.trainer, run.trainer.vllm_generation
    rollout = (batch.ids, batch.images, batch.fields, 1)
    config = LoraConfig(r=4, lora_alpha=16, target_modules=FAMILIES["glm4v"].lora_targets)
    model = get_peft_model(trainer.model, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(len(name)))
    before = {name: value.clone() for name, value in model.state_dict().items() if "lora_" not in name}
    try:
        generation.model = model
        keep_base(generation)
        trainer._last_loaded_step = -1
        completions, theirs = trainer._generate_single_turn(*rollout)
        ours = hf_logprobs(model, batch, completions)
        assert largest_difference(ours, theirs) < 1e-3
        with model.disable_adapter():
            assert largest_difference(hf_logprobs(model, batch, completions), theirs) > 0.02
        assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    finally:
        generation.model = trainer.model = model.unload()
        vars(generation).pop("_iter_named_params", None)
        trainer._last_loaded_step = -1
