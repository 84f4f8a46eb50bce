"""Small random checkpoints of every family: the real classes of transformers, processors made offline.

Each is published as its family is: config, processor and chat template go together as in the Hub's checkpoints.
"""

import torch
import transformers
from transformers.models.glm4v.image_processing_glm4v import Glm4vImageProcessor
from transformers.models.glm4v.video_processing_glm4v import Glm4vVideoProcessor
from transformers.models.glm46v.image_processing_glm46v import Glm46VImageProcessor
from transformers.models.glm46v.video_processing_glm46v import Glm46VVideoProcessor
from transformers.models.glmga.image_processing_glmga import GlmgaImageProcessor
from transformers.models.glmga.video_processing_glmga import GlmgaVideoProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from recipe.inputs.families import FAMILIES
from recipe.tiny import SPECIAL_TOKENS, TinyArguments, build_tokenizer, initialise, model_config, texts_of
from tests.helpers.published_templates import PUBLISHED

QWEN_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
QWEN_TOKENS += ["<|image_pad|>", "<|video_pad|>"]
SIDE, PATCH = 48, 12  # 4 tokens a frame
LAYERS = {"qwen3_5": 4}  # the last of them has full attention; others have 2
POSITIONS = 8192  # the full recipes ask for answers of 4096 tokens
LANGUAGE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": POSITIONS,
}
VISION = {"depth": 2, "hidden_size": 64, "num_heads": 2, "patch_size": PATCH, "out_hidden_size": 64}
VISION |= {"intermediate_size": 96, "spatial_merge_size": 2, "temporal_patch_size": 2}
PROCESSORS = {
    "glm4v": (Glm4vImageProcessor, Glm4vVideoProcessor, transformers.Glm4vProcessor),
    "glm46v": (Glm46VImageProcessor, Glm46VVideoProcessor, transformers.Glm46VProcessor),
    "glmga": (GlmgaImageProcessor, GlmgaVideoProcessor, transformers.Glm46VProcessor),
    "qwen2_5_vl": (Qwen2VLImageProcessor, Qwen2VLVideoProcessor, transformers.Qwen2_5_VLProcessor),
    "qwen3_vl": (Qwen2VLImageProcessor, Qwen3VLVideoProcessor, transformers.Qwen3VLProcessor),
    "qwen3_5": (Qwen2VLImageProcessor, Qwen3VLVideoProcessor, transformers.Qwen3VLProcessor),
}


def build(name, tracks, folder, texts=None):
    """Build a checkpoint of the family `name` in `folder` that the Auto classes can load.

    Its tokenizer learns from `texts`, or from those of the records in `tracks`.
    """
    qwen = name.startswith("qwen")
    tokenizer = build_tokenizer(iter(texts or texts_of(tracks, "tiny")), QWEN_TOKENS if qwen else SPECIAL_TOKENS)
    torch.manual_seed(0)
    build_processor(name, tokenizer).save_pretrained(folder)
    config = _qwen_config(name, tokenizer) if qwen else _glm_config(name, tokenizer)
    model = transformers.AutoModelForImageTextToText.from_config(config)
    if not qwen:
        initialise(model, _tiny())
    ends = [token for token in FAMILIES[name].end_tokens if token in tokenizer.get_vocab()]
    model.generation_config.eos_token_id = [tokenizer.convert_tokens_to_ids(token) for token in ends]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    return folder


def build_processor(name, tokenizer):
    """The family's processor, with its published template's behaviour."""
    pixels = {"shortest_edge": 2 * (2 * PATCH) ** 2, "longest_edge": 32 * SIDE * SIDE}
    settings = {"size": pixels, "patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2}
    images, videos, processor = PROCESSORS[name]
    return processor(
        image_processor=images(**settings),
        tokenizer=tokenizer,
        video_processor=videos(**settings),
        chat_template=PUBLISHED[name],
    )


def _tiny():
    return TinyArguments(hidden_size=64, layers=2, heads=2, kv_heads=1, intermediate_size=96, vision_depth=2)


def _glm_config(name, tokenizer):
    config = model_config(tokenizer, _tiny())
    config.text_config.max_position_embeddings = POSITIONS
    if name != "glmga":  # GLM-4.6V-Flash has GLM-4.1V's
        return config
    known = config.to_dict()
    return transformers.GlmgaConfig(**{key: value for key, value in known.items() if key != "model_type"})


def _qwen_config(name, tokenizer):
    ids = {key: tokenizer.convert_tokens_to_ids(f"<|{key[:-9]}_pad|>") for key in ("image_token_id", "video_token_id")}
    ids |= {f"{key}_token_id": tokenizer.convert_tokens_to_ids(f"<|{key}|>") for key in ("vision_start", "vision_end")}
    positions = {"num_position_embeddings": (SIDE // PATCH) ** 2}
    text = LANGUAGE | {"num_hidden_layers": LAYERS.get(name, 2), "vocab_size": len(tokenizer)}
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    if name == "qwen2_5_vl":
        cls, vision = transformers.Qwen2_5_VLConfig, {"window_size": 4 * PATCH, "fullatt_block_indexes": [1]}
        rope |= {"mrope_section": [4, 6, 6]}
    elif name == "qwen3_vl":
        cls, vision = transformers.Qwen3VLConfig, positions | {"deepstack_visual_indexes": [0]}
        rope |= {"mrope_section": [6, 5, 5], "mrope_interleaved": True}  # as published: vLLM looks for it
    else:
        cls, vision = transformers.Qwen3_5Config, positions
        rope |= {"mrope_section": [2, 1, 1], "partial_rotary_factor": 0.25, "mrope_interleaved": True}
        text |= {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
        text |= {"linear_key_head_dim": 16, "linear_value_head_dim": 16}
    text |= {"rope_parameters": rope, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    text |= {"eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>")}
    return cls(text_config=text, vision_config=VISION | vision, **ids)
