"""One send: ``payloads`` (the request), ``media_files`` (what is uploaded) with ``remote_files`` (fetched from a caller's
URL) and ``sent_names`` (under which name), ``deadline`` (until when it may still begin), ``client`` (the call and its
time limits), ``verdict`` (the only file that reads the sender's answers; its table is ``sender_answers``), ``lookups``
(what is asked before a verdict is final).
"""
