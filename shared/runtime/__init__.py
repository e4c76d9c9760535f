"""What every service starts with: ``service`` (settings, log, port, stop) and ``wiring`` (stores and loops, in order); on
the way of a request ``listening``, ``silent_clients``, ``malformed_requests``, ``request_identity`` (who asks),
``access`` (login, with ``login_throttle``), ``envelope`` (answers and errors, with ``strict_json``) and
``response_headers``; for whoever asks after the service ``readiness``; for what it does by itself ``background_loop``,
``batching``, ``leftover_files`` and ``forgotten_errors``.
"""
