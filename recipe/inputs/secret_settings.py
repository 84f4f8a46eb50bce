"""Settings that would carry a secret into W&B's files, the stamp and the published model are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from data_prep.redaction import public

_TOKENS = ("hub_token", "token", "api_key", "use_auth_token")


def refuse_secrets(parts: Iterable[Any]) -> None:
    """Refuse a token or an address with a user or password among the settings of a stage.

    W&B keeps the command line, and every checkpoint the settings, in `training_args.bin`.

    Args:
        parts: dataclasses of settings, as a parser gives them.

    Raises:
        ValueError: Names the setting and where the secret goes instead; the secret is not in the message.
    """
    for name, value in ((name, value) for part in parts for name, value in _flat(vars(part))):
        if name in _TOKENS and value:
            raise ValueError(
                f"{name} is a secret, and settings are kept in W&B's files and in the model's folder: expected the "
                "environment variable HF_TOKEN, or `hf auth login`"
            )
        if isinstance(value, str) and "://" in value and "@" in _netloc(value):
            raise ValueError(
                f"{name}: the address has a user or password in it, and settings are kept in W&B's files and in the "
                f"model's folder: expected {public(value)}, and the password in ~/.netrc"
            )


def _flat(settings: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield str(name), value


def _netloc(address: str) -> str:
    try:
        return urlsplit(address).netloc
    except ValueError:  # no address after all
        return ""
