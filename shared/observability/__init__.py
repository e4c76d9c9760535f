"""What a service tells about itself: ``logs``, ``log_context`` (what a line is about) and ``metrics``. None of
it ever holds a phone number or a secret.
"""
