"""Faults of libraries that the code works around: each test fails once its library is mended (docs/upstream.md).

When one fails after an upgrade, read its row there: the workaround may go, and this test with it.
"""

import dataclasses
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pandas as pd
import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from transformers import GenerationConfig, Trainer, TrainerCallback, TrainingArguments
from transformers.integrations import WandbCallback
from transformers.models.glm4v import modeling_glm4v
from transformers.models.qwen3_vl import modeling_qwen3_vl
from trl import GRPOConfig, GRPOTrainer, SFTTrainer
from trl.extras.profiling import profiling_context
from trl.generation.vllm_client import VLLMClient
from trl.generation.vllm_generation import VLLMGeneration
from trl.scripts import vllm_serve
from trl.trainer import utils as trl_utils

import recipe  # noqa: F401  torchvision can be imported after this
from recipe.inputs.families import FAMILIES

PAGE = Path("docs/upstream.md").read_text()
ROWS = [
    line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "what is wrong" not in line
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_each_row_names_a_file_and_a_test(row):
    _, _, where, _, test = row
    for path in re.findall(r"`([^`]+)`", where):
        assert Path(path).is_file(), path
    names = re.findall(r"`(test_\w+)`", test)
    assert names or test.strip().startswith("none: ")
    code = Path(__file__).read_text() + Path("tests/test_recipe_vllm_rollout.py").read_text()
    for name in names:
        assert f"def {name}(" in code, name


def test_each_test_has_its_row():
    ours = re.findall(r"^def (test_(?!each_)\w+)", Path(__file__).read_text(), re.MULTILINE)
    assert len(ours) >= 15
    assert set(ours) <= set(re.findall(r"`(test_\w+)`", PAGE))


def stub(**others):
    """What TRL's methods and profiling read of a trainer."""
    accelerator = SimpleNamespace(device="cpu", is_main_process=True)
    args = SimpleNamespace(report_to=[])
    return SimpleNamespace(accelerator=accelerator, args=args, state=SimpleNamespace(global_step=0), **others)


@pytest.fixture
def small():
    """A small model of text that has no generation config of its own."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=20, pad_token_id=0, eos_token_id=None, **sizes))


def caches_of(model, monkeypatch, prompts):
    """Generate two tokens; return what its prefill gets as cache, and the shape of the ids that it reads."""
    seen = []
    upstream = type(model)._prefill

    def prefill(self, ids, config, kwargs, **rest):
        seen.append((kwargs.get("past_key_values"), tuple(ids.shape)))
        return upstream(self, ids, config, kwargs, **rest)

    monkeypatch.setattr(type(model), "_prefill", prefill)
    model.generate(prompts, max_new_tokens=2, do_sample=False)
    return seen[0]


def test_a_trainer_turns_the_cache_of_generate_off(small, tmp_path, monkeypatch):
    ids = torch.tensor([[5, 6, 7]])
    small.generation_config = GenerationConfig.from_model_config(small.config)
    assert caches_of(small, monkeypatch, ids)[0] is not None
    Trainer(small, TrainingArguments(str(tmp_path), report_to=[], use_cpu=True))
    small.generation_config = GenerationConfig.from_model_config(small.config)
    assert caches_of(small, monkeypatch, ids)[0] is None


def test_generate_reads_copies_of_a_prompt(small, monkeypatch):
    assert caches_of(small, monkeypatch, torch.tensor([[5, 6, 7]] * 4))[1] == (4, 3)


def test_transformers_repeats_keys_where_there_is_a_mask():
    from transformers.integrations.sdpa_attention import use_gqa_in_sdpa

    key = torch.zeros(1, 2, 3, 8)
    assert use_gqa_in_sdpa(None, key, key)
    assert not use_gqa_in_sdpa(torch.ones(1, 1, 1, 3, dtype=torch.bool), key, key)


def test_trl_hands_vllm_expanded_image_tokens():
    generation = MagicMock()
    generation.generate.return_value = (None, [[4]], [[[0.0]]], None)
    trainer = stub(use_vllm=True, vllm_mode="colocate", vllm_generation=generation, _last_loaded_step=0)
    GRPOTrainer._generate_single_turn(trainer, [[5, 9, 9, 9, 6]], [["a picture"]], {}, 1)
    assert generation.generate.call_args.kwargs["prompts"] == [[5, 9, 9, 9, 6]]


def test_trl_keeps_the_encoder_cache_after_a_sync():
    generation = MagicMock(mode="colocate", enable_sleep_mode=False)
    generation._iter_named_params.return_value = []
    VLLMGeneration.sync_weights(generation)
    generation.llm.reset_prefix_cache.assert_called_once()
    assert not [call for call in generation.mock_calls if "encoder" in str(call) or "reset_mm" in str(call)]


def test_trl_lets_vllm_sample_image_tokens():
    assert "suppress_tokens" in inspect.getsource(GRPOTrainer.__init__)  # for Hugging Face's generate
    generation = inspect.getsource(VLLMGeneration)
    assert not re.search("logit_bias|suppress|bad_words|allowed_token", generation)


def test_trl_asks_colocated_vllm_for_one_answer_a_copy():
    generate = inspect.getsource(VLLMGeneration.generate)
    assert '"n": 1,  # vLLM on each GPU generates only 1 in colocate mode' in generate
    assert '"n": num_generations' in generate  # in server mode


def test_trl_sends_pictures_as_text():
    client = inspect.getsource(VLLMClient)
    assert "chat/completions/render" in client
    assert "content_parts" not in client


def test_grpo_config_passes_no_engine_arguments():
    names = [field.name for field in dataclasses.fields(GRPOConfig) if "vllm" in field.name]
    assert len(names) > 5
    assert not [name for name in names if re.search("dtype|eager|load_format|limit_mm|engine|kwargs|llm_arg", name)]


def test_trl_tries_one_port_first(monkeypatch):
    monkeypatch.setattr(trl_utils, "_is_port_free", lambda *args: True)
    assert trl_utils._find_free_port() == trl_utils._find_free_port() == 29500


def test_trl_serves_weights_by_nccl():
    words = vllm_serve.build_command(vllm_serve.ScriptArguments(model=""))
    config = json.loads(words[words.index("--weight-transfer-config") + 1])
    assert config["backend"] == "nccl"


def test_trl_moves_the_base_of_lora():
    """One sync of a linear layer in bf16: the adapter is added in place and subtracted again."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(64, 64, bias=False)).bfloat16()
    model = get_peft_model(layers, LoraConfig(r=4, target_modules=["0"], init_lora_weights=False))
    base = model.base_model.model[0].base_layer.weight
    before = base.detach().clone()
    generation = MagicMock(model=model)
    generation._dist.is_fsdp = False
    generation._fix_param_name_to_vllm = lambda name, extra_prefixes: name
    sent = [name for name, _ in VLLMGeneration._iter_named_params(generation)]
    assert sent == ["0.weight"]
    assert not torch.equal(base, before)


def test_trl_processes_the_pictures_of_every_row_twice():
    tokenizes = inspect.getsource(GRPOTrainer._tokenize_prompts)
    assert "conversation=prompts" in tokenizes
    scores = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert "self.processing_class(images=images, text=prompts_text" in scores
    one = torch.zeros(4, 2)
    batch = {"pixel_values": [one, one], "image_grid_thw": [torch.tensor([[1, 2, 2]])] * 2, "num_images": [1, 1]}
    kept = trl_utils.unsplit_pixel_values_by_grid(batch)["pixel_values"]
    assert kept.untyped_storage().nbytes() == 2 * one.untyped_storage().nbytes()


def test_trl_reads_a_rollouts_rows_when_it_begins():
    assert not re.search("prefetch|ahead|Thread", inspect.getsource(inspect.getmodule(GRPOTrainer)))
    assert "prefetch" not in inspect.getsource(trl_utils.RepeatSampler)


def test_wandb_refuses_prompts_of_parts():
    """Parts of two shapes, as a prompt of pictures and text has them."""
    wandb = pytest.importorskip("wandb")
    parts = [{"type": "image"}, {"type": "text", "text": "Where?"}]
    with pytest.raises(TypeError):
        wandb.Table(dataframe=pd.DataFrame({"prompt": [[{"role": "user", "content": parts}]] * 2}))


def test_trl_keeps_phase_times_out_of_its_metrics():
    trainer = stub(_metrics={"train": defaultdict(list)})
    with profiling_context(trainer, "a phase"):
        pass
    assert not trainer._metrics["train"]


def test_pictures_are_gathered_by_default():
    assert GRPOConfig.__dataclass_fields__["log_multimodal"].default is True


def test_token_counts_are_not_taken():
    assert modeling_glm4v.Glm4vForConditionalGeneration.accepts_loss_kwargs is False
    assert "model_accepts_loss_kwargs" not in inspect.getsource(inspect.getmodule(SFTTrainer))


def test_training_arguments_have_one_learning_rate():
    names = {field.name for field in dataclasses.fields(TrainingArguments)}
    assert {name for name in names if re.search(r"learning_rate|(^|_)lrs?($|_)|param_groups", name)} == {
        "learning_rate",
        "lr_scheduler_type",
        "lr_scheduler_kwargs",
    }


class Line(torch.nn.Module):
    """One weight: what Trainer needs of a model, and no more."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return {"loss": (self.weight * x).mean()}


def trainer_in(folder, callbacks=(), **settings):
    args = TrainingArguments(
        output_dir=str(folder), use_cpu=True, report_to="none", disable_tqdm=True, save_steps=1, logging_steps=100,
        per_device_train_batch_size=1, **settings,
    )  # fmt: skip
    return Trainer(Line(), args, train_dataset=[{"x": torch.ones(1)}] * 8, callbacks=list(callbacks))


def test_a_checkpoint_is_written_into_a_foreign_folder(tmp_path):
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1" / "theirs.txt").write_text("not of this run")
    trainer_in(tmp_path, max_steps=1).train()
    assert {"theirs.txt", "trainer_state.json"} <= {path.name for path in (tmp_path / "checkpoint-1").iterdir()}


def test_resuming_at_the_end_trains_a_step_more(tmp_path):
    trainer_in(tmp_path, max_steps=2).train()
    trainer = trainer_in(tmp_path, max_steps=2)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert trainer.state.global_step == 3


def test_old_checkpoints_go_before_on_save(tmp_path):
    seen = []

    class Look(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            seen.append(sorted(path.name for path in tmp_path.glob("checkpoint-*")))

    trainer_in(tmp_path, [Look()], max_steps=2, save_total_limit=1).train()
    assert seen == [["checkpoint-1"], ["checkpoint-2"]]


def test_an_error_of_wandb_ends_training():
    callback = WandbCallback.__new__(WandbCallback)
    callback._wandb, callback._initialized = MagicMock(), True
    callback._wandb.log.side_effect = ConnectionError("W&B's process is gone")
    state = SimpleNamespace(is_world_process_zero=True, global_step=1)
    with pytest.raises(ConnectionError):
        callback.on_log(None, state, None, model=None, logs={"loss": 1.0})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_bf16_is_refused_without_a_gpu(tmp_path):
    with pytest.raises(ValueError, match="bf16"):
        TrainingArguments(output_dir=str(tmp_path), bf16=True)


def test_glm_has_biases_whatever_its_config_says():
    config = modeling_glm4v.Glm4vTextConfig(
        hidden_size=8, num_attention_heads=1, num_key_value_heads=1, attention_bias=False
    )
    assert modeling_glm4v.Glm4vTextAttention(config, 0).q_proj.bias is not None


def test_qwen3_vl_interleaves_positions_whatever_its_config_says():
    """Turns of three positions per channel: the second and the third channel are height's and width's, not time's."""
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1], "mrope_interleaved": False}
    config = modeling_qwen3_vl.Qwen3VLTextConfig(
        hidden_size=8, num_attention_heads=1, num_key_value_heads=1, head_dim=8, rope_parameters=rope
    )
    positions = torch.tensor([[[0]], [[1]], [[2]]])  # time 0, height 1, width 2
    cosine, _ = modeling_qwen3_vl.Qwen3VLTextRotaryEmbedding(config)(torch.zeros(1, 1, 8), positions)
    turned = (cosine[0, 0, :4] < 1).tolist()
    assert turned == [False, True, True, False]  # side by side would be [False, False, True, True]


@pytest.mark.slow
def test_torchvision_does_not_import_beside_a_cpu_torch():
    if not torch.__version__.endswith("+cpu") or importlib.metadata.version("torchvision").endswith("+cpu"):
        pytest.skip("no CUDA build of torchvision beside a CPU build of torch")
    done = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True, timeout=120)
    assert "operator torchvision::nms does not exist" in done.stderr


def test_peft_has_no_layers_for_these_families():
    assert not FAMILIES.keys() & TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.keys()
