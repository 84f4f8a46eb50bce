"""Secrets in the environment of the tests' runs, to be looked for in what they write."""

PLANTED = {
    "HF_TOKEN": "hf_planted00000000000000000000000000",
    "WANDB_API_KEY": "planted1" * 5,
    "OPENAI_API_KEY": "sk-planted-0001",
    "SOME_PROXY": "http://someone:planted-password@host",
}
