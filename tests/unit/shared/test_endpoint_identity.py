"""Which endpoints the settings mean, and that two versions of them agree."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.endpoints.identity import Endpoint, endpoint_id, endpoints_of
from shared.settings import EndpointSettings

SECRET = "s3cr3t-passw0rd"
URLS = ["http://gowa-1:3000", "https://gowa-2.example/base", "http://gowa-1:3000"]
DEVICES = ["sales", "", "support"]
LOGINS = ["alice:1", "bob:2", "carol:3"]


def settings(order: list[int] | tuple[int, ...] = (0, 1, 2)) -> EndpointSettings:
    return EndpointSettings.model_validate(
        {
            "whatsapp_endpoints": [URLS[index] for index in order],
            "whatsapp_device_ids": [DEVICES[index] for index in order],
            "whatsapp_auths": ",".join(LOGINS[index] for index in order),
        }
    )


@given(st.permutations([0, 1, 2]))
def test_the_order_of_the_settings_does_not_matter(order: list[int]) -> None:
    assert endpoints_of(settings(order)) == endpoints_of(settings())


def test_each_has_its_own_login_and_device() -> None:
    found = {(one.base_url, one.device_id): one.authorization for one in endpoints_of(settings()).values()}
    assert found == {
        (url, device): "Basic " + base64.b64encode(login.encode()).decode()
        for url, device, login in zip(URLS, DEVICES, LOGINS, strict=True)
    }


def test_an_id_is_short_and_stays() -> None:
    # Entries in Redis and rows in Postgres carry it: a new version must not make another of it.
    assert endpoint_id("http://gowa:3000", "") == "7be7e7172181"
    assert endpoint_id("http://GOWA:3000/", "") == endpoint_id("http://gowa:3000", "")
    assert endpoint_id("http://gowa:3000", "a") != endpoint_id("http://gowa:3000", "b")
    assert endpoint_id("http://gowa:3000", "a") != endpoint_id("http://gowa:3001", "a")


def test_a_single_sender() -> None:
    single = EndpointSettings.model_validate(
        {"whatsapp_base_url": "http://gowa:3000/", "whatsapp_auth": "user:pa:ss,1"}
    )
    [endpoint] = endpoints_of(single).values()
    assert endpoint.base_url == "http://gowa:3000"
    assert base64.b64decode(endpoint.headers()["Authorization"].removeprefix("Basic ")) == b"user:pa:ss,1"
    assert "X-Device-Id" not in endpoint.headers()


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ("user:password", "Basic dXNlcjpwYXNzd29yZA=="),
        ("üser:pässword", "Basic " + base64.b64encode("üser:pässword".encode()).decode()),
        ("Basic dXNlcjpwYXNzd29yZA==", "Basic dXNlcjpwYXNzd29yZA=="),
        ("Bearer a.b.c", "Bearer a.b.c"),
        ("opaque", "opaque"),
        # A password may have blanks, and begin as it likes.
        ("user:pass word", "Basic dXNlcjpwYXNzIHdvcmQ="),
        ("user: pass", "Basic dXNlcjogcGFzcw=="),
        ("user:Bearer abc", "Basic dXNlcjpCZWFyZXIgYWJj"),
        ("a user:secret", "Basic YSB1c2VyOnNlY3JldA=="),
        ("Bearer one two:three", "Basic QmVhcmVyIG9uZSB0d286dGhyZWU="),
        ("bearer a:b", "bearer a:b"),
    ],
)
def test_forms_of_a_login(login: str, header: str) -> None:
    single = EndpointSettings.model_validate({"whatsapp_base_url": "http://gowa:3000", "whatsapp_auth": login})
    [endpoint] = endpoints_of(single).values()
    assert endpoint.headers() == {"Authorization": header}


def test_no_login_no_header() -> None:
    [endpoint] = endpoints_of(EndpointSettings.model_validate({"whatsapp_base_url": "http://gowa:3000"})).values()
    assert endpoint.headers() == {}


def test_the_device_id_is_sent_in_url_form() -> None:
    endpoint = Endpoint("id", "http://gowa", "49+1 50%@s.whatsapp.net")
    assert endpoint.headers()["X-Device-Id"] == "49%2B1 50%25@s.whatsapp.net"


def test_a_secret_is_never_shown() -> None:
    for login in (f"user:{SECRET}", f"Bearer {SECRET}"):
        given_settings = EndpointSettings.model_validate(
            {"whatsapp_base_url": "http://gowa:3000", "whatsapp_auth": login}
        )
        [endpoint] = endpoints_of(given_settings).values()
        shown = f"{endpoint!r} {endpoint} {endpoint.label} {endpoint.id} {given_settings!r}"
        assert SECRET not in shown
        assert base64.b64encode(f"user:{SECRET}".encode()).decode() not in shown


def test_a_label_is_for_people() -> None:
    assert Endpoint("id", "https://gowa-2.example:3000/base", "sales").label == "gowa-2.example:3000/base sales"
    assert Endpoint("id", "http://gowa/one", "").label != Endpoint("id", "http://gowa/two", "").label
    assert Endpoint("id", "http://gowa", "").label == "gowa"
    assert Endpoint("id", f"http://user:{SECRET}@gowa", "").label == "gowa"
