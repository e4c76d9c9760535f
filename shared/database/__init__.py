"""What stands in Postgres. The tables and the functions that change several of them at once are in ``migrations/``; the
statements are in ``sql/``, a file per module here. Read: ``connection``, ``attempts`` (dispatcher: peek, gate, settle),
then by service.
"""
