"""Parts of the tests of rollouts with native video: checkpoints of several families, clips and a trainer."""

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig

from recipe.inputs.native_video import NativeVideoProcessor, accept_native_video
from recipe.inputs.pair_pictures import pairs_of
from recipe.rollouts.vllm import ImageGRPOTrainer
from tests.helpers import family_models

SIDE, RATE = 48, 2.0
QUESTION = "where is the red square?"
TEXTS = [f"{k}.{d} seconds: {QUESTION} <{k}.{d} seconds> [{a}, {b}]" for k in range(9) for d in range(9)
         for a in range(40) for b in (7, 55, 310)]  # fmt: skip


def build_checkpoint(name, folder):
    """Build a checkpoint of the family `name` that has learned not to name the tokens of pictures.

    What only vLLM forbids would have some probability else, which the trainer rightly reports as a ratio below 1.
    """
    family_models.build(name, None, folder, TEXTS)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    never = [model.config.image_token_id, model.config.video_token_id]
    if name.startswith("qwen"):  # of fresh ones the tower hardly shows in an answer, and a stale one would not either
        with torch.no_grad():
            for value in model.parameters():
                value.mul_(3 if value.ndim > 1 else 1)
    first, vocabulary = max(never) + 1, model.config.get_text_config().vocab_size
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(60):
        ids = torch.randint(first, vocabulary, (16, 24))  # text that says nothing
        scores = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.log_softmax(-1)
        (scores[..., never] + 16).relu().mean().backward()  # e^-16: one in ten million
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


def frames(count, seed):
    """Frames of noise, all different."""
    noise = np.random.default_rng(seed)
    return [Image.fromarray(noise.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in range(count)]


def row(seconds, seed, units):
    """A prompt of so many seconds: a picture each, or with `pairs` the two frames of each as one."""
    pictures = pairs_of(frames(2 * seconds, seed), RATE) if units == "pairs" else frames(seconds, seed)
    content = [{"type": "image"} for _ in pictures] + [{"type": "text", "text": QUESTION}]
    return {"prompt": [{"role": "user", "content": content}], "images": pictures}


def digit_share(completions, **kwargs):
    """A reward that random text earns in different measure."""
    texts = [completion[0]["content"] for completion in completions]
    return [sum(character.isdigit() for character in text) / max(1, len(text)) for text in texts]


def trainer_of(folder, out, rows, units, *, steps, samples, length, **settings):
    """A GRPO trainer whose rollouts come from vLLM; each step takes two prompts."""
    args = GRPOConfig(
        str(out),
        bf16=False,
        disable_tqdm=True,
        gradient_checkpointing=False,
        learning_rate=1e-3,
        log_multimodal=False,
        logging_steps=1,
        lr_scheduler_type="constant",
        max_completion_length=length,
        max_steps=steps,
        num_generations=samples,
        per_device_train_batch_size=2 * samples,
        report_to=[],
        save_strategy="no",
        seed=3,
        use_cpu=True,
        use_vllm=True,
        warmup_steps=0,
        **settings,
    )
    from datasets import Dataset

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(folder, padding_side="left")
    if units == "pairs":
        model, processor = accept_native_video(model), NativeVideoProcessor(processor)
    prompts = Dataset.from_list([{"prompt": made["prompt"], "number": n} for n, made in enumerate(rows)])
    # Pictures are added when a row is read: a column of them would lose what a picture says of its frame rate.
    prompts.set_transform(lambda batch: {**batch, "images": [rows[number]["images"] for number in batch["number"]]})
    return ImageGRPOTrainer(
        model=model, reward_funcs=digit_share, args=args, train_dataset=prompts, processing_class=processor
    )


def unmoved(trainer, start):
    """Names of parameters that training left as they were."""
    return [name for name, value in trainer.model.named_parameters() if torch.equal(value, start[name])]
