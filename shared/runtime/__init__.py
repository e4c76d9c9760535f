"""What every service starts with: ``service`` (settings, log, port, stop), ``envelope`` (answers and errors), ``access``
(login), ``background_loop``, ``batching``.
"""
