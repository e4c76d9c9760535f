"""How a service asks at addresses that others gave it: ``remote_media`` (which addresses, and files from them),
``name_lookups`` (names, without holding up anybody).
"""
