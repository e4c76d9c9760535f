"""``python -m services.dispatcher``"""

from services.dispatcher.app import build_app
from services.dispatcher.settings import DispatcherSettings
from shared.runtime.service import run

if __name__ == "__main__":
    run("dispatcher", DispatcherSettings, build_app, lambda settings: settings.dispatcher_port)
