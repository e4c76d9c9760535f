"""``python -m services.scheduler``"""

from services.scheduler.app import build_app
from services.scheduler.settings import SchedulerSettings
from shared.runtime.service import run

if __name__ == "__main__":
    run("scheduler", SchedulerSettings, build_app, lambda settings: settings.scheduler_port)
