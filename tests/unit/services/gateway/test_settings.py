"""A wrong setting stops the gateway with the variable's name."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.services.gateway.settings import settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("default_region", "XX"),
        ("default_region", "Indonesia"),
        ("cors_origins", "*"),
        ("cors_origins", "https://app.example.com/page"),
        ("bulk_chunk_size", "0"),
        ("max_recipients", "-1"),
        ("bulk_expires_after", "0"),
        ("bulk_expires_after", "a week"),
        ("remote_media", "perhaps"),
        ("file_types", "apk,a b"),
        ("whatsapp_webhook_secret", "secret"),
        ("optout_words", "genug,,!?"),
    ],
)
def test_a_wrong_value_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=f"(?i){name}"):
        settings(**{name: value})


def test_the_region_may_be_written_small() -> None:
    assert settings(default_region="id").default_region == "ID"
