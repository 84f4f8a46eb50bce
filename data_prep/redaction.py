"""What must not be written anywhere: keys, and the user and password of an address."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit, urlunsplit

SHORTEST = 6  # characters; replacing a shorter secret would tear other words apart
HIDDEN = "[hidden]"


def public(url: str) -> str:
    """Return an address without user, password and query, which are secrets.

    >>> public("http://me:secret@host:8000/v1?token=1")
    'http://host:8000/v1'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def secrets_of(url: str, *keys: str) -> tuple[str, ...]:
    """Return the texts that must not be written of an endpoint: its keys, and what its address holds beside the host.

    The longest come first, so that a secret that contains another one is replaced whole.

    >>> secrets_of("http://me:my-password@host/v1", "sk-123456")
    ('bWU6bXktcGFzc3dvcmQ=', 'my-password', 'sk-123456')
    >>> secrets_of("http://host/v1", "none")
    ()
    """
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    name, _, password = user.partition(":")
    plain = [*keys, password, unquote(password), *(piece.partition("=")[2] for piece in parts.query.split("&"))]
    if not password:  # a token in the place of the user
        plain += [name, unquote(name)]
    if user:  # as it stands in the header of a request
        plain.append(base64.b64encode(unquote(user).encode()).decode("ascii"))
    return tuple(sorted({text for text in plain if len(text) >= SHORTEST}, key=lambda text: (-len(text), text)))


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return a text in which each secret is replaced by `HIDDEN`.

    >>> redacted("wrong key sk-123456", ["sk-123456"])
    'wrong key [hidden]'
    """
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text
