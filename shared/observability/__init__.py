"""What a service tells about itself: ``logs`` and ``metrics``. Neither ever holds a phone number or a secret."""
