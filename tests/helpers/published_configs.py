"""Configs with the published dimensions of the models that the recipes are for; nothing is downloaded."""

import transformers


def rope(theta, *sections, partial=None):
    parameters = {"rope_type": "default", "rope_theta": theta, "mrope_section": list(sections)}
    return parameters | ({"partial_rotary_factor": partial} if partial else {})


def glm_41v_9b():
    text = {"vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40}
    text |= {"num_attention_heads": 32, "num_key_value_heads": 2, "max_position_embeddings": 65536}
    text |= {"rope_parameters": rope(10000.0, 8, 12, 12, partial=0.5), "attention_bias": True}
    vision = {"depth": 24, "hidden_size": 1536, "num_heads": 12, "intermediate_size": 13696, "out_hidden_size": 4096}
    vision |= {"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "image_size": 336}
    return transformers.Glm4vConfig(text_config=text, vision_config=vision)


def qwen3_vl(hidden, layers, heads, intermediate, depth, width, tied):
    text = {"vocab_size": 151936, "hidden_size": hidden, "intermediate_size": intermediate}
    text |= {"num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": 8, "head_dim": 128}
    text |= {"max_position_embeddings": 262144, "rope_parameters": rope(5e6, 24, 20, 20)}
    vision = {"depth": depth, "hidden_size": width, "num_heads": 16, "patch_size": 16, "out_hidden_size": hidden}
    vision |= {"intermediate_size": 4304 if width == 1152 else 4096, "spatial_merge_size": 2, "temporal_patch_size": 2}
    vision |= {
        "deepstack_visual_indexes": [8, 16, 24] if depth == 27 else [5, 11, 17],
        "num_position_embeddings": 2304,
    }
    return transformers.Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)


def qwen25_vl_7b():
    text = {"vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28}
    text |= {"num_attention_heads": 28, "num_key_value_heads": 4, "max_position_embeddings": 128000}
    text |= {"rope_parameters": rope(1e6, 16, 24, 24)}
    vision = {"depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420, "out_hidden_size": 3584}
    vision |= {"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112}
    vision |= {"fullatt_block_indexes": [7, 15, 23, 31]}
    return transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False)


# Name -> config, and its published number of weights in thousands of millions.
PUBLISHED = {
    "glm-4.1v-9b": (glm_41v_9b, 10.29),
    "qwen2.5-vl-7b": (qwen25_vl_7b, 8.29),
    "qwen3-vl-2b": (lambda: qwen3_vl(2048, 28, 16, 6144, 24, 1024, True), 2.13),
    "qwen3-vl-4b": (lambda: qwen3_vl(2560, 36, 32, 9728, 24, 1024, True), 4.44),
    "qwen3-vl-8b": (lambda: qwen3_vl(4096, 36, 32, 12288, 27, 1152, False), 8.77),
}
