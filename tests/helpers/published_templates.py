"""How the published chat templates behave, in words of our own; Qwen's are the published ones, which TRL holds."""

from pathlib import Path

import trl

_PARTS = """
{%- macro parts(content) -%}
{%- if content is string -%}{{ content }}
{%- else -%}
{%- for part in content -%}
{%- if part['type'] == 'image' -%}<|begin_of_image|><|image|><|end_of_image|>
{%- elif part['type'] == 'video' -%}<|begin_of_video|><|video|><|end_of_video|>
{%- elif part['type'] == 'text' -%}{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
"""

# An assistant's content is printed as it stands, whatever it is, and nothing comes after it.
GLM_41V = (
    _PARTS
    + """[gMASK]<sop>
{%- for message in messages -%}
{{ '<|' + message['role'] + '|>\\n' }}
{%- if message['role'] == 'assistant' -%}{{ message['content'] }}
{%- else -%}{{ parts(message['content']) }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}"""
)

# Parts are read; a think block, empty where there is no reasoning, and line breaks of its own; no end token.
GLM_46V = (
    _PARTS
    + """[gMASK]<sop>
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
{%- set content = parts(message['content']) -%}
{%- set thought = content.split('</think>')[0].split('<think>')[-1].strip() if '</think>' in content else '' -%}
{{ '<|assistant|>\\n<think>' + thought + '</think>\\n' + content.split('</think>')[-1].strip() }}
{%- else -%}{{ '<|' + message['role'] + '|>\\n' + parts(message['content']) }}
{%- if enable_thinking is defined and not enable_thinking -%}/nothink{%- endif -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>
{%- if enable_thinking is defined and not enable_thinking -%}{{ '\\n<think></think>' }}{%- endif -%}
{%- endif -%}"""
)

_TRL = Path(trl.__file__).parent / "chat_templates"

PUBLISHED = {"glm4v": GLM_41V, "glm46v": GLM_46V, "glmga": GLM_46V} | {
    family: (_TRL / f"{file}.jinja").read_text(encoding="utf-8")
    for family, file in (
        ("qwen2_5_vl", "qwen2_5_vl"),
        ("qwen3_vl", "qwen3_vl"),
        ("qwen3_5", "qwen3_5_think"),
    )
}
