"""One send: ``payloads`` (the request), ``media_files`` (what is uploaded), ``client`` (the call and its time limits),
``verdict`` (the only file that reads the sender's answers).
"""
