"""Each distinct prompt is processed once and its pixels are kept once; ids, loss and parameters are TRL's."""

import copy
from types import SimpleNamespace

import pytest
import torch
from trl import GRPOConfig, ModelConfig
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import load_mixture
from recipe.inputs.families import FAMILIES
from recipe.inputs.loading import load_model, load_processor, row_builder
from recipe.rollouts.dynamic_sampling import exchange
from recipe.rollouts.vllm import ImageGRPOTrainer
from recipe.training.pixels import Prompts, SharedPixels, pixel_dtype
from recipe.training.shared_prefix import SharedPrefix
from recipe.training.shared_rows import SharedRows
from tests.helpers.tiny_parts import COMMON

PROMPTS, SAMPLES = 2, 4
OTHERS = sorted(FAMILIES.keys() - {"glm4v"})


class SharedTrainer(SharedPixels, ImageGRPOTrainer):
    pass


def variety(completions, **kwargs):
    return [len(set(completion[0]["content"])) / 50 for completion in completions]


def trainer_of(cls, checkpoint, data, folder, dtype="float32", peft_config=None, **settings):
    script = StageArguments(video_root=str(data / "videos"), prompts="tiny", max_frame_pixels=2304)
    model_args = ModelConfig(model_name_or_path=str(checkpoint), dtype=dtype)
    model, processor = load_model(model_args, script), load_processor(model_args)
    rows = load_mixture([str(data / "ground.jsonl")], row_builder(script, model, processor, completions=False))
    steps = {"per_device_train_batch_size": PROMPTS * SAMPLES // 2, "steps_per_generation": 2, "max_steps": 2}
    sampling = {"num_generations": SAMPLES, "max_completion_length": 4, "log_multimodal": False, "seed": 5}
    args = GRPOConfig(output_dir=str(folder), logging_steps=1, **(COMMON | steps | sampling | settings))
    given = {"train_dataset": rows, "processing_class": processor, "peft_config": peft_config}
    return cls(model=model, reward_funcs=[variety], args=args, **given)


def images_processed(trainer, monkeypatch):
    """Note how many pictures each call of the image processor gets."""
    calls = []
    images = type(trainer.processing_class.image_processor)
    upstream = images.__call__

    def call(self, images, *args, **kwargs):
        flat = images if not isinstance(images[0], list | tuple) else [one for row in images for one in row]
        calls.append(len(flat))
        return upstream(self, images, *args, **kwargs)

    monkeypatch.setattr(images, "__call__", call)
    return calls


def trained(trainer):
    trainer.train()
    losses = [(entry["loss"], entry["grad_norm"]) for entry in trainer.state.log_history if "loss" in entry]
    return losses, {name: value.clone() for name, value in trainer.model.state_dict().items()}


class PrefixTrainer(SharedPrefix, ImageGRPOTrainer):
    pass


class SharedPrefixTrainer(SharedPrefix, SharedPixels, ImageGRPOTrainer):
    pass


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("glm4v", SharedTrainer, ImageGRPOTrainer),
        ("glm4v", SharedPrefixTrainer, PrefixTrainer),
        *(pytest.param(name, SharedTrainer, ImageGRPOTrainer, marks=pytest.mark.slow) for name in OTHERS),
    ],
)
def test_losses_and_parameters_are_those_of_trls_own_pixels(
    name, ours, theirs, family_checkpoints, tiny_data, tmp_path
):
    runs = []
    for cls in (ours, theirs):
        trainer = trainer_of(cls, family_checkpoints / name, tiny_data, tmp_path / cls.__name__)
        runs.append(trained(trainer))
        shared = [isinstance(batch["pixel_values"], SharedRows) for batch in trainer._buffered_inputs]
        assert shared == [cls is ours] * 2
    (losses, weights), (expected_losses, expected_weights) = runs
    assert losses == expected_losses
    assert len(losses) == 2
    assert all(norm > 0 for _, norm in losses)
    for key, value in expected_weights.items():
        assert torch.equal(weights[key], value), key


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "bf16"), [("bfloat16", False), ("float32", True)])
def test_pixels_in_the_towers_dtype_change_nothing(dtype, bf16, family_checkpoints, tiny_data, tmp_path):
    """Of weights in bf16, and of float32 weights under autocast, which computes in bf16."""
    runs = []
    for cls in (SharedTrainer, ImageGRPOTrainer):
        short = {"max_completion_length": 2, "max_steps": 1, "bf16": bf16}
        trainer = trainer_of(cls, family_checkpoints / "glm4v", tiny_data, tmp_path / cls.__name__, dtype, **short)
        runs.append(trained(trainer))
        kept = trainer._buffered_inputs[0]["pixel_values"].dtype
        assert kept == (torch.bfloat16 if cls is SharedTrainer else torch.float32)
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(value, runs[1][1][name]) for name, value in runs[0][1].items())


def test_a_rollout_processes_each_prompt_once_and_its_rows_share_pixels(tiny_base, tiny_data, tmp_path, monkeypatch):
    trainer = trainer_of(SharedTrainer, tiny_base, tiny_data, tmp_path)
    calls = images_processed(trainer, monkeypatch)
    inputs = next(iter(trainer.get_train_dataloader()))
    processor = trainer.processing_class
    trainer.model.train()
    trainer._prepare_inputs(inputs)
    assert trainer.processing_class is processor
    assert calls == [len(inputs[0]["images"]), len(inputs[-1]["images"])]
    parts = [part for batch in trainer._buffered_inputs for part in batch["pixel_values"].parts]
    assert len(parts) == PROMPTS * SAMPLES
    assert len({part.untyped_storage().data_ptr() for part in parts}) == PROMPTS
    # What TRL's forward passes take: a row's pixels are the shared ones themselves, those of several rows a copy.
    batch = trainer._buffered_inputs[0]
    row = batch["image_grid_thw"][: batch["num_images"][0]].prod(-1).sum().item()
    assert batch["pixel_values"][:row].data_ptr() == batch["pixel_values"].parts[0].data_ptr()
    assert len(batch["pixel_values"][:]) == batch["image_grid_thw"].prod(-1).sum()


def test_rows_whose_pictures_are_other_objects_are_processed_each(tiny_base, tiny_data, tmp_path, monkeypatch):
    trainer = trainer_of(SharedTrainer, tiny_base, tiny_data, tmp_path)
    inputs = [copy.deepcopy(row) for row in next(iter(trainer.get_train_dataloader()))]
    calls = images_processed(trainer, monkeypatch)
    trainer._generate_and_score_completions(inputs)
    assert len(calls) == PROMPTS * SAMPLES


def test_text_prompts_are_left_to_upstream(tiny_base, tiny_data, tmp_path):
    trainer = trainer_of(SharedTrainer, tiny_base, tiny_data, tmp_path)
    prompts = [[{"role": "user", "content": f"where is {word}?"}] for word in ("it", "the circle")]
    assert trainer._tokenize_prompts(prompts) == ImageGRPOTrainer._tokenize_prompts(trainer, prompts)
    assert trainer._processed is None


def test_a_deep_copy_of_prompts_has_its_own_messages_and_the_same_pictures():
    picture = object()
    prompts = Prompts([[{"role": "user", "content": [{"type": "image", "image": picture}]}]])
    other = copy.deepcopy(prompts)
    other[0][0]["content"].append("more")
    assert other[0][0]["content"][0]["image"] is picture
    assert len(prompts[0][0]["content"]) == 1


def rollout(pixels, rows):
    """A rollout of `rows` rows with one picture each, of 4 patches."""
    return {
        "prompt_ids": torch.ones(rows, 2, dtype=torch.long),
        "completion_ids": torch.ones(rows, 2, dtype=torch.long),
        "pixel_values": pixels,
        "image_grid_thw": torch.tensor([[1, 2, 2]] * rows),
        "num_images": [1] * rows,
    }


def test_exchanged_groups_share_pixels_too():
    ours, theirs = (list(torch.arange(16.0).view(2, 4, 2) + offset) for offset in (0, 100))
    pixels = [[group for group in groups for _ in range(2)] for groups in (ours, theirs)]
    shared = exchange(rollout(SharedRows(pixels[0]), 4), rollout(SharedRows(pixels[1]), 4), [(0, 1)], 2, pad_token=0)
    copies = exchange(rollout(torch.cat(pixels[0]), 4), rollout(torch.cat(pixels[1]), 4), [(0, 1)], 2, pad_token=0)
    assert torch.equal(shared["pixel_values"][:], copies["pixel_values"])
    storages = [part.data_ptr() for part in shared["pixel_values"].parts]
    assert storages == [theirs[1].data_ptr()] * 2 + [ours[1].data_ptr()] * 2


def test_shared_rows_are_read_as_one_tensor():
    parts = [torch.arange(6.0).view(3, 2), torch.empty(0, 2), torch.arange(6.0, 16.0).view(5, 2)]
    rows, whole = SharedRows(parts), torch.cat(parts)
    assert (rows.shape, rows.size(0), rows.ndim, rows.dtype, rows.device) == (
        whole.shape,
        8,
        2,
        whole.dtype,
        whole.device,
    )
    for begin in range(9):
        for end in range(9):
            assert torch.equal(rows[begin:end], whole[begin:end])
    for sizes in ([3, 5], [8], [0, 2, 6], [1] * 8):
        pieces, expected = torch.split(rows, sizes, dim=0), torch.split(whole, sizes, dim=0)
        assert all(torch.equal(piece[:], one) for piece, one in zip(pieces, expected, strict=True))
    assert torch.equal(torch.cat([rows, whole], dim=0)[:], torch.cat([whole, whole]))
    assert rows.to(torch.bfloat16)[:].dtype == torch.bfloat16
    with pytest.raises(ValueError, match="pieces of 7 rows along dimension 0, of 8 rows"):
        torch.split(rows, [3, 4])
    with pytest.raises(IndexError):
        rows[::2]
    with pytest.raises(TypeError):
        torch.stack([rows, rows])


def test_splitting_and_joining_a_rollout_as_trl_does_copies_nothing():
    one, two = torch.zeros(4, 2), torch.ones(4, 2)
    batch = split_pixel_values_by_grid(rollout(SharedRows([one, one, two]), 3))
    again = unsplit_pixel_values_by_grid(batch)["pixel_values"]
    assert [part.data_ptr() for part in again.parts] == [one.data_ptr(), one.data_ptr(), two.data_ptr()]


@pytest.mark.parametrize(
    ("weights", "mixed", "expected"),
    [
        (torch.float32, "no", torch.float32),
        (torch.float32, "bf16", torch.bfloat16),
        (torch.bfloat16, "no", torch.bfloat16),
        (torch.bfloat16, "fp16", torch.bfloat16),  # the model casts pixels to its own dtype before autocast acts
    ],
)
def test_the_dtype_of_pixels(weights, mixed, expected):
    tower = {"model.language_model.a": torch.zeros(1), "model.visual.b": torch.zeros(1, dtype=weights)}
    model = SimpleNamespace(named_parameters=lambda: tower.items())
    assert pixel_dtype(model, mixed) == expected
