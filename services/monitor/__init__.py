"""The monitor: health of the whole, statistics, endpoint statistics, metrics of queue, campaigns and endpoints.

Read: ``app`` (what runs), ``observation`` (what was last seen in Redis and Postgres), ``checks`` (pure: what is wrong),
``statistics`` and ``endpoint_statistics`` (pure: what is told), ``statistics_stream`` (one event a second for many
clients), ``health``, ``queue_metrics``.

It only looks. Nothing it does changes what is sent, so it may be restarted or run as several replicas at any time.
"""
