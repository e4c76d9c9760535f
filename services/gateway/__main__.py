"""``python -m services.gateway``"""

from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings
from shared.runtime.service import run

if __name__ == "__main__":
    run("gateway", GatewaySettings, build_app, lambda settings: settings.api_port)
