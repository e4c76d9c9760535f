"""The monitor: health of the whole, statistics, endpoint statistics, metrics of queue, campaigns and endpoints.

Read: ``app`` (what runs), ``observation`` (what was last seen in Redis and Postgres), ``checks`` (pure: what is wrong),
``statistics`` and ``endpoint_statistics`` (pure: what is told), ``present_statistics`` (once a second),
``statistics_stream`` (one event a second for many clients), ``health``, ``queue_metrics``, ``alert_rules`` (pure: what
somebody should be told of), ``alert_messages``, ``alert_formats``, ``alert_receiver``, ``alert_delivery`` and
``alert_test``; ``account_probe`` asks the accounts. What can be set: ``settings``, ``settings_of_alerts``.

It only looks and tells, and opens the breaker of an account that says it cannot send; so it may be restarted or run as
several replicas at any time.
"""
