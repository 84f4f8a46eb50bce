"""Small random checkpoints of every family: the real classes of transformers, processors made offline."""

from pathlib import Path

import torch
import transformers
import trl
from transformers.models.glm46v.image_processing_glm46v import Glm46VImageProcessor
from transformers.models.glm46v.video_processing_glm46v import Glm46VVideoProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from recipe.inputs.families import FAMILIES
from recipe.tiny import (
    CHAT_TEMPLATE,
    SPECIAL_TOKENS,
    TinyArguments,
    build_model,
    build_processor,
    build_tokenizer,
    model_config,
    texts_of,
)

QWEN_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
QWEN_TOKENS += ["<|image_pad|>", "<|video_pad|>"]
SIDE, PATCH = 48, 12  # 4 tokens a frame
LANGUAGE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 4096,
}
VISION = {"depth": 2, "hidden_size": 64, "num_heads": 2, "patch_size": PATCH, "out_hidden_size": 64}
VISION |= {"intermediate_size": 96, "spatial_merge_size": 2, "temporal_patch_size": 2}


def build(name, tracks, folder):
    """Build a checkpoint of the family `name` in `folder` that the Auto classes can load."""
    args = TinyArguments(hidden_size=64, layers=2, heads=2, kv_heads=1, intermediate_size=96, vision_depth=2)
    qwen = name.startswith("qwen")
    tokenizer = build_tokenizer(texts_of(tracks, "tiny"), QWEN_TOKENS if qwen else SPECIAL_TOKENS)
    torch.manual_seed(0)
    if name == "glm4v":
        build_model(tokenizer, args).save_pretrained(folder)
        build_processor(tokenizer, args).save_pretrained(folder)
        return folder
    config = _qwen_config(name, tokenizer) if qwen else _glm46v_config(tokenizer, args)
    pixels = {"shortest_edge": 2 * (2 * PATCH) ** 2, "longest_edge": 32 * SIDE * SIDE}
    settings = {"size": pixels, "patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2}
    images, videos, processor = {
        "glm46v": (Glm46VImageProcessor, Glm46VVideoProcessor, transformers.Glm46VProcessor),
        "qwen2_5_vl": (Qwen2VLImageProcessor, Qwen2VLVideoProcessor, transformers.Qwen2_5_VLProcessor),
        "qwen3_vl": (Qwen2VLImageProcessor, Qwen3VLVideoProcessor, transformers.Qwen3VLProcessor),
    }[name]
    template = CHAT_TEMPLATE
    if qwen:  # the published ones, which TRL holds
        template = (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text()
    processor(
        image_processor=images(**settings),
        tokenizer=tokenizer,
        video_processor=videos(**settings),
        chat_template=template,
    ).save_pretrained(folder)
    model = transformers.AutoModelForImageTextToText.from_config(config)
    model.generation_config.eos_token_id = config.text_config.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    return folder


def _glm46v_config(tokenizer, args):
    known = model_config(tokenizer, args).to_dict()
    return transformers.Glm46VConfig(**{key: value for key, value in known.items() if key != "model_type"})


def _qwen_config(name, tokenizer):
    ids = {key: tokenizer.convert_tokens_to_ids(f"<|{key[:-9]}_pad|>") for key in ("image_token_id", "video_token_id")}
    ids |= {f"{key}_token_id": tokenizer.convert_tokens_to_ids(f"<|{key}|>") for key in ("vision_start", "vision_end")}
    vision, sections = {"window_size": 4 * PATCH, "fullatt_block_indexes": [1]}, [4, 6, 6]
    if name == "qwen3_vl":
        vision = {"deepstack_visual_indexes": [0], "num_position_embeddings": (SIDE // PATCH) ** 2}
        sections = [6, 5, 5]
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections}
    text = LANGUAGE | {"vocab_size": len(tokenizer), "rope_parameters": rope, "pad_token_id": tokenizer.pad_token_id}
    text |= {"bos_token_id": None, "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>")}
    cls = {"qwen2_5_vl": transformers.Qwen2_5_VLConfig, "qwen3_vl": transformers.Qwen3VLConfig}[name]
    return cls(text_config=text, vision_config=VISION | vision, **ids)


assert {"glm4v", "glm46v", "qwen2_5_vl", "qwen3_vl"} == set(FAMILIES)
