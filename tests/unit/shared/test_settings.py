"""Settings: right ones are read, a wrong one stops the start and names its variable, no secret is shown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic_settings import BaseSettings

from shared.errors import SettingError
from shared.setting_names import misspelt
from shared.settings import (
    BreakerSettings,
    DatabaseSettings,
    EndpointSettings,
    ListenSettings,
    LogSettings,
    PacingSettings,
    RedisSettings,
    RemoteMediaSettings,
    UnknownSettings,
    is_loopback,
    load,
    milliseconds,
)
from standalone.settings_pages import SERVICES

ONE_SENDER = {"WHATSAPP_ENDPOINTS": "http://one:3000"}
TWO_SENDERS = {"WHATSAPP_ENDPOINTS": "http://one:3000,http://two:3000"}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test sets counts."""
    for settings in (
        BreakerSettings,
        DatabaseSettings,
        EndpointSettings,
        ListenSettings,
        LogSettings,
        PacingSettings,
        RedisSettings,
        RemoteMediaSettings,
        UnknownSettings,
    ):
        for name in settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (LogSettings, "LOG_LEVEL", "loud"),
        (LogSettings, "LOG_FORMAT", "xml"),
        (DatabaseSettings, "DATABASE_PORT", "0"),
        (DatabaseSettings, "DATABASE_PORT", "65536"),
        (DatabaseSettings, "DATABASE_PORT", "tcp://10.0.0.1:5432"),
        (DatabaseSettings, "DATABASE_SSL_MODE", "yes"),
        (DatabaseSettings, "DATABASE_STATEMENT_CACHE_SIZE", "-1"),
        (RedisSettings, "REDIS_PORT", "tcp://10.0.0.1:6379"),
        (RedisSettings, "REDIS_DATABASE", "first"),
        (RedisSettings, "REDIS_POOL_SIZE", "1"),
        (RedisSettings, "REDIS_DIAL_TIMEOUT", "5"),
        (RedisSettings, "REDIS_READ_TIMEOUT", "-3s"),
        (RedisSettings, "REDIS_QUEUE_NAME", "{braces}"),
        (RedisSettings, "REDIS_CONSUMER_GROUP", "a b"),
        (RedisSettings, "REDIS_HOST", "rediss://:secret@redis.example:6380/0"),
        (RedisSettings, "REDIS_HOST", "user:secret@redis.example"),
        (RedisSettings, "REDIS_TLS", "perhaps"),
        (RedisSettings, "REDIS_TLS_CA_FILE", "/etc/ssl/ca.pem"),
        (RedisSettings, "REDIS_TLS_CERT_FILE", "/etc/ssl/client.pem"),
        (RedisSettings, "REDIS_TLS_KEY_FILE", "/etc/ssl/client.key"),
        (RedisSettings, "REDIS_TLS_VERIFY", "none"),
        (RedisSettings, "REDIS_SENTINELS", "redis://sentinel-1:26379"),
        (RedisSettings, "REDIS_SENTINELS", "sentinel-1:26379,,sentinel-2"),
        (RedisSettings, "REDIS_SENTINELS", "sentinel-1:port"),
        (RedisSettings, "REDIS_SENTINELS", "sentinel-1:65536"),
        (RedisSettings, "REDIS_SENTINEL_MASTER", "main"),
        (RedisSettings, "REDIS_SENTINEL_USERNAME", "watcher"),
        (RedisSettings, "REDIS_SENTINEL_PASSWORD", "secret"),
        (RedisSettings, "FEED_HIGH_WATER", "0"),
        (EndpointSettings, "ENDPOINT_CONCURRENCY", "0"),
        (EndpointSettings, "WHATSAPP_CONNECT_TIMEOUT", "soon"),
        (EndpointSettings, "WHATSAPP_ENDPOINTS", "gowa:3000"),
        (EndpointSettings, "WHATSAPP_ENDPOINTS", "http://one:3000,"),
        (PacingSettings, "RATE_PROFILE", "fast"),
        (PacingSettings, "RATE_LIMIT_DELAY_MIN", "1h"),
        (PacingSettings, "TYPING_DELAY_MIN", "59m"),
        (PacingSettings, "TYPING_DELAY_MAX", "61s"),
        (PacingSettings, "BULK_TYPING_DELAY_MAX", "2m"),
        (PacingSettings, "NATURAL_BREAK_INTERVAL", "-1"),
        (PacingSettings, "NATURAL_BREAK_DURATION_MIN", "2m"),
        (PacingSettings, "RATE_DELAY_JITTER_MS", "10001"),
        (PacingSettings, "TYPING_PRESENCE", "sometimes"),
        (BreakerSettings, "CIRCUIT_BREAKER_ENABLED", "on and off"),
        (BreakerSettings, "CIRCUIT_BREAKER_FAILURE_THRESHOLD", "0"),
        (BreakerSettings, "CIRCUIT_BREAKER_OPEN_TIMEOUT", "2 minutes"),
        (UnknownSettings, "ON_UNKNOWN_BULK", "guess"),
        (ListenSettings, "SHUTDOWN_GRACE", "x"),
        (ListenSettings, "DASHBOARD_USERNAME", "ad:min"),
        (ListenSettings, "DASHBOARD_REALM", "Pace\nline"),
        (ListenSettings, "TRUSTED_PROXIES", "10.0.0.1/8"),
        (EndpointSettings, "WHATSAPP_CONNECT_TIMEOUT", "0"),
        (EndpointSettings, "WHATSAPP_TEXT_TIMEOUT", "0"),
        (EndpointSettings, "WHATSAPP_MEDIA_TIMEOUT", "0s"),
        (PacingSettings, "QUIET_HOURS", "21:00"),
        (PacingSettings, "QUIET_HOURS", "21:00-"),
        (PacingSettings, "QUIET_HOURS", "21:00-21:00"),
        (RemoteMediaSettings, "REMOTE_MEDIA_ALLOW", "http://files.internal"),
        (RemoteMediaSettings, "REMOTE_MEDIA_ALLOW", "files.internal:8080"),
        (RemoteMediaSettings, "REMOTE_MEDIA_ALLOW", "10.0.0.0/33"),
        (RemoteMediaSettings, "REMOTE_MEDIA_ALLOW", "10.0.0"),
        (RemoteMediaSettings, "REMOTE_MEDIA_ALLOW", "10.0.0.0/8,"),
    ],
)
def test_a_wrong_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, settings: type[BaseSettings], name: str, value: str
) -> None:
    set_all(monkeypatch, {"DATABASE_HOST": "localhost"} | ONE_SENDER | {name: value})
    with pytest.raises(SettingError) as error:
        load(settings)
    [line] = str(error.value).splitlines()
    assert line.startswith(f"{name}: ")
    assert len(line) > len(name) + 5
    assert "secret" not in line


SENTINELS = {"REDIS_SENTINELS": "sentinel-1,sentinel-2:26380, [::1]:26381,fd00::7", "REDIS_SENTINEL_MASTER": "main"}


def test_sentinels_have_a_usual_port(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, SENTINELS | {"REDIS_HOST": ""})
    assert load(RedisSettings).redis_sentinel_addresses() == [
        ("sentinel-1", 26379),
        ("sentinel-2", 26380),
        ("::1", 26381),
        ("fd00::7", 26379),
    ]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"REDIS_SENTINEL_MASTER": ""}, "REDIS_SENTINEL_MASTER"),
        ({"REDIS_HOST": "redis.example"}, "REDIS_HOST"),
        ({"REDIS_PORT": "6379"}, "REDIS_PORT"),
    ],
)
def test_sentinels_that_contradict_something_are_refused(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str], named: str
) -> None:
    set_all(monkeypatch, SENTINELS | change)
    with pytest.raises(SettingError, match=f"^{named}: "):
        load(RedisSettings)


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"REDIS_PORT": "many", "REDIS_DIAL_TIMEOUT": "long"})
    with pytest.raises(SettingError) as error:
        load(RedisSettings)
    assert {line.partition(":")[0] for line in str(error.value).splitlines()} == {"REDIS_PORT", "REDIS_DIAL_TIMEOUT"}


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"^DATABASE_HOST: it must be set$"):
        load(DatabaseSettings)
    monkeypatch.setenv("DATABASE_HOST", "")
    with pytest.raises(SettingError, match=r"^DATABASE_HOST: "):
        load(DatabaseSettings)
    with pytest.raises(SettingError, match=r"^WHATSAPP_ENDPOINTS"):
        load(EndpointSettings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("1h30m", 5_400_000), ("1.5s", 1500), ("0", 0), ("0s", 0)],
)
def test_durations_are_written_as_in_go(monkeypatch: pytest.MonkeyPatch, text: str, expected: int) -> None:
    monkeypatch.setenv("REDIS_READ_TIMEOUT", text)
    assert milliseconds(load(RedisSettings).redis_read_timeout) == expected


def test_empty_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"REDIS_PORT": "", "REDIS_DIAL_TIMEOUT": ""})
    settings = load(RedisSettings)
    assert settings.redis_port == 6379
    assert settings.redis_dial_timeout == timedelta(seconds=5)


class TestSenders:
    """One account, or several in lists of equal length."""

    def test_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        set_all(monkeypatch, {"WHATSAPP_BASE_URL": "http://gowa:3000", "WHATSAPP_AUTH": "user:pass,word"})
        settings = load(EndpointSettings)
        assert settings.url_list() == ["http://gowa:3000"]
        assert settings.auth_list() == ["user:pass,word"]

    def test_several(self, monkeypatch: pytest.MonkeyPatch) -> None:
        set_all(
            monkeypatch,
            {
                "WHATSAPP_ENDPOINTS": "http://one:3000, https://two.example/gowa",
                "WHATSAPP_AUTHS": "a:b, Bearer c",
                "WHATSAPP_DEVICE_IDS": "first,",
            },
        )
        settings = load(EndpointSettings)
        assert settings.url_list() == ["http://one:3000", "https://two.example/gowa"]
        assert settings.auth_list() == ["a:b", "Bearer c"]
        assert settings.whatsapp_device_ids == ["first", ""]

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            (TWO_SENDERS | {"WHATSAPP_AUTH": "user:hunter2"}, ["WHATSAPP_AUTH"]),
            (TWO_SENDERS | {"WHATSAPP_BASE_URL": "http://three:3000"}, ["WHATSAPP_BASE_URL"]),
            (
                TWO_SENDERS | {"WHATSAPP_BASE_URL": "http://x", "WHATSAPP_AUTH": "a:b"},
                ["WHATSAPP_BASE_URL", "WHATSAPP_AUTH"],
            ),
            ({"WHATSAPP_BASE_URL": "http://one:3000", "WHATSAPP_AUTHS": "user:hunter2"}, ["WHATSAPP_AUTHS"]),
            (TWO_SENDERS | {"WHATSAPP_AUTH": "a:b", "WHATSAPP_AUTHS": "a:b"}, ["WHATSAPP_AUTH", "WHATSAPP_AUTHS"]),
            (
                TWO_SENDERS | {"WHATSAPP_AUTHS": "a:b", "WHATSAPP_DEVICE_IDS": "a"},
                ["WHATSAPP_AUTHS", "WHATSAPP_DEVICE_IDS"],
            ),
            ({"WHATSAPP_BASE_URL": "http://one:3000", "WHATSAPP_DEVICE_IDS": "a,b"}, ["WHATSAPP_DEVICE_IDS"]),
            ({"WHATSAPP_ENDPOINTS": "http://one:3000,http://ONE:3000/"}, ["WHATSAPP_ENDPOINTS"]),
            (
                {"WHATSAPP_ENDPOINTS": "http://a,http://b,http://a", "WHATSAPP_DEVICE_IDS": "s1,s1,s1"},
                ["WHATSAPP_ENDPOINTS"],
            ),
            ({"WHATSAPP_AUTHS": "user:hunter2"}, ["WHATSAPP_ENDPOINTS (or WHATSAPP_BASE_URL)"]),
            ({"WHATSAPP_DEVICE_IDS": "a"}, ["WHATSAPP_ENDPOINTS (or WHATSAPP_BASE_URL)"]),
        ],
    )
    def test_what_contradicts_itself(
        self, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: list[str]
    ) -> None:
        set_all(monkeypatch, given)
        with pytest.raises(SettingError) as error:
            load(EndpointSettings)
        assert [line.partition(": ")[0] for line in str(error.value).splitlines()] == named
        assert "hunter2" not in str(error.value)

    def test_one_address_with_several_devices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        set_all(monkeypatch, {"WHATSAPP_ENDPOINTS": "http://a,http://a,http://a", "WHATSAPP_DEVICE_IDS": "s1,s2,"})
        assert load(EndpointSettings).whatsapp_device_ids == ["s1", "s2", ""]

    @pytest.mark.parametrize("name", ["WHATSAPP_AUTHS", "WHATSAPP_DEVICE_IDS"])
    @pytest.mark.parametrize("value", ["one:1", "one:1,two:2,three:3"])
    def test_lists_of_unequal_length(self, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
        set_all(monkeypatch, TWO_SENDERS | {name: value})
        with pytest.raises(SettingError, match=f"^{name}: "):
            load(EndpointSettings)

    def test_a_login_in_the_url_is_refused_and_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        set_all(monkeypatch, {"WHATSAPP_ENDPOINTS": "http://user:hunter2@one:3000"})
        with pytest.raises(SettingError) as error:
            load(EndpointSettings)
        assert str(error.value).startswith("WHATSAPP_ENDPOINTS: ")
        assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "gateway.internal", ""])
def test_the_shipped_password_stays_on_the_machine(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    set_all(monkeypatch, {"API_HOST": host})
    if not host:
        assert load(ListenSettings).api_host == "127.0.0.1"
        return
    with pytest.raises(SettingError, match=r"^DASHBOARD_PASSWORD: "):
        load(ListenSettings)
    monkeypatch.setenv("DASHBOARD_PASSWORD", "one of my own")
    assert load(ListenSettings).api_host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_the_shipped_password_is_enough_on_loopback(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("API_HOST", host)
    assert is_loopback(load(ListenSettings).api_host)


def test_no_login_needs_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"API_HOST": "0.0.0.0", "ENABLE_AUTH": "false"})
    assert not load(ListenSettings).enable_auth


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (DatabaseSettings, "DATABASE_PASSWORD"),
        (RedisSettings, "REDIS_PASSWORD"),
        (EndpointSettings, "WHATSAPP_AUTH"),
        (EndpointSettings, "WHATSAPP_AUTHS"),
        (ListenSettings, "DASHBOARD_PASSWORD"),
    ],
)
def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch, settings: type[BaseSettings], name: str) -> None:
    sender = {"WHATSAPP_BASE_URL": "http://one:3000"} if name == "WHATSAPP_AUTH" else ONE_SENDER
    set_all(monkeypatch, {"DATABASE_HOST": "localhost"} | sender | {name: "hunter2"})
    loaded = load(settings)
    assert "hunter2" not in repr(loaded)
    assert "hunter2" not in str(loaded.model_dump())


def test_every_setting_has_a_sentence() -> None:
    for settings in (
        BreakerSettings,
        DatabaseSettings,
        EndpointSettings,
        ListenSettings,
        LogSettings,
        PacingSettings,
        RedisSettings,
        UnknownSettings,
    ):
        for name, setting in settings.model_fields.items():
            assert setting.description, name


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DAILY_CAPS", "DAILY_CAP"),
        ("QUIET_HOUR", "QUIET_HOURS"),
        ("HUORLY_CAP", "HOURLY_CAP"),
        ("RATE_PROFIL", "RATE_PROFILE"),
        ("RATE_LIMIT_DELAYMAX", "RATE_LIMIT_DELAY_MAX"),
        ("NATURAL_BREAKS_INTERVALL", "NATURAL_BREAK_INTERVAL"),
    ],
)
def test_a_slip_in_a_name_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, meant: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingError) as error:
        load(PacingSettings)
    [line] = str(error.value).splitlines()
    assert line.startswith(f"{name}: ")
    assert meant in line
    monkeypatch.setenv(name, "")
    load(PacingSettings)


def test_a_slip_is_named_beside_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"WHATSAPP_ENDPOINT": "http://one:3000"})
    with pytest.raises(SettingError) as error:
        load(EndpointSettings)
    assert [line.partition(" ")[0] for line in str(error.value).splitlines()] == [
        "WHATSAPP_ENDPOINT:",
        "WHATSAPP_ENDPOINTS",
    ]


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    everything = {name.upper() for settings in SERVICES.values() for name in settings.model_fields}
    of_gowa = ("PORT", "HOST", "DEBUG", "OS", "BASIC_AUTH", "BASE_PATH", "TRUSTED_PROXIES")
    others = {f"APP_{name}" for name in of_gowa} | {
        *("WHATSAPP_WEBHOOK", "WHATSAPP_WEBHOOK_EVENTS", "WHATSAPP_AUTO_REPLY", "WHATSAPP_ACCOUNT_VALIDATION"),
        *("WHATSAPP_CHAT_STORAGE", "WHATSAPP_AUTO_MARK_READ", "WHATSAPP_AUTO_DOWNLOAD_MEDIA", "DB_URI", "DB_KEYS_URI"),
        *("PACELINE_GATEWAY_PORT", "PACELINE_GATEWAY_PORT_8080_TCP", "PACELINE_MONITOR_SERVICE_HOST", "PACELINE_PORT"),
        *("REDIS_SERVICE_HOST", "REDIS_SERVICE_PORT", "REDIS_PORT_6379_TCP", "REDIS_PORT_6379_TCP_ADDR", "REDIS_URL"),
        *(
            "DATABASE_URL",
            "DATABASE_SERVICE_HOST",
            "API_PORT_8080_TCP_PROTO",
            "POSTGRES_PASSWORD",
            "LOGLEVEL",
            "API_KEY",
        ),
        *("EDGE_HOST", "EDGE_PORT", "EDGE_BIND", "EDGE_ADDRESS", "GATEWAY_ADDRESS", "MONITOR_ADDRESS", "PATH", "HOME"),
    }
    known = {name.upper() for name in SERVICES[service].model_fields}
    assert misspelt(others, known) == []
    assert misspelt(everything, known) == []


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_what_is_not_set_takes_no_slip_for_another_services_setting(service: str) -> None:
    everything = {name.upper() for settings in SERVICES.values() for name in settings.model_fields}
    known = {name.upper() for name in SERVICES[service].model_fields}
    assert misspelt(everything - known, known) == []
