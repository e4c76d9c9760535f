"""Settings: each declared once, with its variable's name, type, default, sentence and check.

A service composes its own class out of the groups here (``services/<name>/settings.py``). A setting's variable is its
field name in capitals. ``load`` raises SettingError, which names every wrong variable and says what would be right.
``.env.example`` and ``docs/configuration.md`` are generated from these classes.

In reading order: ``declaring`` (types, ``load``), ``serving``, ``database``, ``redis_server``, ``sending``.
"""

from shared.settings.database import DatabaseSettings as DatabaseSettings
from shared.settings.declaring import SHIPPED_PASSWORD as SHIPPED_PASSWORD
from shared.settings.declaring import CommaList as CommaList
from shared.settings.declaring import Duration as Duration
from shared.settings.declaring import Settings as Settings
from shared.settings.declaring import host_and_port as host_and_port
from shared.settings.declaring import load as load
from shared.settings.declaring import milliseconds as milliseconds
from shared.settings.declaring import seconds as seconds
from shared.settings.redis_server import RedisSettings as RedisSettings
from shared.settings.sending import BreakerSettings as BreakerSettings
from shared.settings.sending import EndpointSettings as EndpointSettings
from shared.settings.sending import FeedbackSettings as FeedbackSettings
from shared.settings.sending import PacingSettings as PacingSettings
from shared.settings.sending import UnknownSettings as UnknownSettings
from shared.settings.serving import DrainSettings as DrainSettings
from shared.settings.serving import FileSettings as FileSettings
from shared.settings.serving import FileTypeSettings as FileTypeSettings
from shared.settings.serving import ListenSettings as ListenSettings
from shared.settings.serving import LogSettings as LogSettings
from shared.settings.serving import RemoteMediaSettings as RemoteMediaSettings
from shared.settings.serving import is_loopback as is_loopback
