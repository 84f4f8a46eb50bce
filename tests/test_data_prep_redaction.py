"""What must not be written is replaced."""

from data_prep.redaction import public, redacted, secrets_of


def test_secrets_of_an_endpoint():
    assert secrets_of("http://host/v1") == ()
    assert secrets_of("http://host/v1", "", "none") == (), "too short to be replaced"
    found = secrets_of("https://someone:pass%40word@host/v1?token=query-token&x=1", "sk-key")
    assert {"pass%40word", "pass@word", "query-token", "sk-key"} < set(found)
    assert "someone" not in found
    assert "token-as-user" in secrets_of("https://token-as-user@host/v1")


def test_the_longest_secret_goes_first():
    assert redacted("sk-123456-more", secrets_of("http://host", "sk-123456", "sk-123456-more")) == "[hidden]"


def test_public():
    assert public("https://user:pw@host:8000/v1?key=1#x") == "https://host:8000/v1"
    assert public("/v1/other?key=1") == "/v1/other"
