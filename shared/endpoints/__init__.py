"""WhatsApp accounts and their pace. Read: ``identity`` (which accounts there are), ``pacing`` (pure rules of how fast one
may send), ``gowa`` (the client that looks things up at the sender).
"""
