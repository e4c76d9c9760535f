"""Prometheus metrics of this process at GET /metrics. Labels are few and never a message, a number or a URL."""

from prometheus_client import Counter
from prometheus_client.aiohttp import make_aiohttp_handler

metrics_handler = make_aiohttp_handler()
possible_duplicates = Counter(
    "paceline_possible_duplicates_total", "Messages sent again though their outcome was unknown, so maybe twice"
)
