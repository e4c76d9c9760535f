"""What every service starts with: ``service`` (settings, log, port, stop), ``request_identity`` (who asks), ``envelope``
(answers and errors), ``access`` (login), ``background_loop``, ``batching``.
"""
