"""What Postgres holds: ``NNNN_subject.sql`` makes the tables, forward only; ``functions/`` has each function, view and trigger
as it is in force.

Reading order: the numbered files, ``functions/``, ``definitions`` (their order), ``applying`` (a run), ``takeover``.
"""
