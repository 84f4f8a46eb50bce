"""Native video in rollouts: vLLM gets the video, TRL scores pictures, and both mean the same (marked: needs vLLM).

.venv-vllm/bin/python -m pytest -m vllm tests/test_recipe_vllm_video.py
"""

import os

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # the engine in this process, as a trainer's is

import recipe  # noqa: F401  (first: it lets torchvision be imported)

# isort: split
import pytest

pytest.importorskip("trl")

import torch

from tests.helpers import video_rollouts

STEPS, SAMPLES, LENGTH = 5, 4, 16
SECONDS = (3, 17, 4, 5)  # a processor's limit for a whole video is 32 such frames: 17 seconds are above it
RATIO = "sampling/importance_sampling_ratio/"


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("family", ["glm4v", "qwen3_vl"])
def test_ratio_is_one_at_every_step_of_native_video(family, tmp_path, monkeypatch):
    pytest.importorskip("vllm")

    folder = video_rollouts.build_checkpoint(family, tmp_path / "base")
    rows = [video_rollouts.row(seconds, seed, "pairs") for seed, seconds in enumerate(SECONDS)]
    trainer = video_rollouts.trainer_of(
        folder,
        tmp_path / "out",
        rows,
        "pairs",
        steps=STEPS,
        samples=SAMPLES,
        length=LENGTH,
        vllm_mode="colocate",
        vllm_max_model_length=512,
    )
    asked = trainer.vllm_generation.llm.generate
    generate, sent, read = asked.generate, [], []

    def note(prompts, sampling_params, **options):
        outputs = generate(prompts, sampling_params=sampling_params, **options)
        sent.extend(zip(prompts, sampling_params, strict=True))
        read.extend(outputs)
        return outputs

    monkeypatch.setattr(asked, "generate", note)
    start = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    # Each of a step's two prompts went out once, as a video, for all its answers.
    assert len(sent) == 2 * STEPS
    video = trainer.model.config.video_token_id
    for (prompt, sampling), output in zip(sent, read, strict=True):
        assert sampling.n == SAMPLES == len(output.outputs)
        assert prompt["prompt_token_ids"].count(video) == 1
        (frames, metadata) = prompt["multi_modal_data"]["video"][0]
        assert len(frames) == metadata["total_num_frames"] in {2 * seconds for seconds in SECONDS}
        never = {video, trainer.model.config.image_token_id}
        assert never.isdisjoint(token for one in output.outputs for token in one.token_ids)
        assert never == set(sampling.logit_bias)
    assert 2 * max(SECONDS) in {len(prompt["multi_modal_data"]["video"][0][0]) for prompt, _ in sent}
    logs = [entry for entry in trainer.state.log_history if RATIO + "mean" in entry]
    print(
        f"\n{family}: ratio {min(entry[RATIO + 'min'] for entry in logs):.5f} to "
        f"{max(entry[RATIO + 'max'] for entry in logs):.5f}, largest difference of a log-probability "
        f"{max(entry['sampling/sampling_logp_difference/max'] for entry in logs):.1e}"
    )
    assert len(logs) == STEPS
    for entry in logs:  # of prompts whose ids were equal: unequal ones end the run
        assert 0.999 <= entry[RATIO + "min"] <= entry[RATIO + "max"] <= 1.001
    assert video_rollouts.unmoved(trainer, start) == []  # the vision tower among them
    assert stale_difference(trainer, rows[0], monkeypatch) > 0.005


def stale_difference(trainer, row, monkeypatch):
    """Largest difference of log-probabilities where vLLM keeps a video's features after the tower has changed."""
    from trl.data_utils import prepare_multimodal_messages

    monkeypatch.setattr(trainer, "_reset_encoder_cache", lambda: None)
    ids, images, fields = trainer._tokenize_prompts([prepare_multimodal_messages(row["prompt"], images=row["images"])])
    trainer._generate_single_turn(ids, images, fields, 1)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in trainer.model.named_parameters():
            if "visual" in name:
                value.add_(value.std() * torch.randn(value.shape, generator=noise))
    trainer._last_loaded_step = -1  # as after an optimizer step
    completions, theirs = trainer._generate_single_turn(ids, images, fields, 1)
    inputs = trainer.processing_class.apply_chat_template(
        [prepare_multimodal_messages(row["prompt"], images=row["images"])],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    answer = torch.tensor(completions)
    longer = {"input_ids": answer, "attention_mask": torch.ones_like(answer)}
    longer["mm_token_type_ids"] = torch.zeros_like(answer)
    inputs = dict(inputs) | {key: torch.cat([inputs[key], added], dim=1) for key, added in longer.items()}
    with torch.inference_mode():
        logits = trainer.model(**inputs).logits[0, -len(completions[0]) - 1 : -1]
    ours = logits.log_softmax(-1).gather(-1, answer[0][:, None])[:, 0]
    return (ours - torch.tensor(theirs[0])).abs().max().item()
