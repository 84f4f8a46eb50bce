"""`trl grpo --reward_funcs stvg_rewards.tiou_reward ...` runs as it is, on a tiny text model that the test makes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stvg_rewards import Track, format_answer

ROOT = Path(__file__).parents[1]
REWARDS = ["stvg_rewards.tiou_reward", "stvg_rewards.mviou_reward"]
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "


def make_model(folder):
    """A Llama of 30,000 parameters with a tokenizer that knows the answer format."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    text = format_answer(Track("dog-1", dict.fromkeys(range(9), (0.1, 0.2, 0.3, 0.4))), scale=(1000, 1000))
    special = ["<unk>", "<pad>", "<eos>"]
    tokenizer.train_from_iterator([text] * 9, trainers.BpeTrainer(vocab_size=300, special_tokens=special))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="<eos>", chat_template=TEMPLATE
    )
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=fast.pad_token_id,
        eos_token_id=fast.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)


@pytest.mark.slow
@pytest.mark.parametrize("conversational", [False, True])
def test_trls_own_command(tmp_path, conversational):
    make_model(tmp_path / "model")
    (tmp_path / "data").mkdir()
    truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 1.0]}]
    with (tmp_path / "data" / "train.jsonl").open("w") as out:
        for row in range(8):
            prompt = [{"role": "user", "content": "Where is it?"}] if conversational else "Where is it?"
            own = {"track": truth, "span": [2, 2], "seconds": 8, "box_scale": [1000, 1000]}
            other = dict.fromkeys(own)  # a row of another task
            out.write(json.dumps({"prompt": prompt} | (other if row % 4 == 3 else own)) + "\n")
    words = ["--model_name_or_path", tmp_path / "model", "--dataset_name", tmp_path / "data"]
    words += ["--output_dir", tmp_path / "out", "--max_steps", 2, "--num_generations", 2, "--logging_steps", 1]
    words += [
        "--per_device_train_batch_size",
        4,
        "--max_completion_length",
        12,
        "--use_cpu",
        "true",
        "--bf16",
        "false",
    ]
    words += ["--report_to", "none", "--save_strategy", "no", "--learning_rate", "1e-3", "--reward_funcs", *REWARDS]
    # TRL imports torchvision, whose CUDA build does not load beside a CPU build of torch; elsewhere a no-op.
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "sitecustomize.py").write_text(
        f"import sys; sys.path.append({str(ROOT)!r}); import recipe\n"
    )
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "ACCELERATE_USE_CPU": "1",
        "PYTHONPATH": str(tmp_path / "start"),
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("trl"), "grpo", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("rewards/tiou_reward/mean", "rewards/mviou_reward/mean", "'tIoU'", "'parse_rate'"):
        assert name in done.stdout + done.stderr, name
