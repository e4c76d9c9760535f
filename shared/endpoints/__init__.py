"""WhatsApp accounts and their pace. Read: ``identity`` (which accounts there are), ``pacing`` and ``caps`` (pure rules of
how fast one may send, and how much), ``profiles`` (what an operator changed of them), ``breaker_state`` and ``feedback``
(where an account stands), ``gowa`` (the client that looks things up at the sender, with ``answer_body``).
"""
