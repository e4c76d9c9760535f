"""``python -m services.monitor``"""

from services.monitor.app import build_app
from services.monitor.settings import MonitorSettings
from shared.runtime.service import run

if __name__ == "__main__":
    run("monitor", MonitorSettings, build_app, lambda settings: settings.monitor_port)
