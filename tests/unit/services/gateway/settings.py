"""Settings of a gateway that connects to nothing."""

from typing import Any

from services.gateway.settings import GatewaySettings


def settings(**changes: Any) -> GatewaySettings:
    values: dict[str, Any] = {
        "database_host": "127.0.0.1",
        "whatsapp_endpoints": "http://one:3000,http://two:3000",
        "dashboard_password": "not the shipped one",
    }
    return GatewaySettings(**values | changes)
