"""How a service asks at addresses that others gave it: ``name_lookups`` (names, without holding
up anybody), ``address_guard`` (which may be asked), ``remote_media`` (files from there).
"""
