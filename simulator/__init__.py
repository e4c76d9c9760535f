"""A stand-in for GOWA (go-whatsapp-web-multidevice) with its real answers, its faults on demand, and a ledger.

It speaks the HTTP contract of GOWA v9.2, reaches no network of its own accord, and writes down every send it was
asked for, so that a test can ask afterwards what "WhatsApp" took, how often, and how many sends met on one account.
It imports nothing of the project around it; run it as ``python -m simulator --help``.

Reading order: ``settings`` (what can be set), ``answers`` (the envelope and GOWA's errors), ``rules`` (the kinds of
message and what GOWA demands of each), ``binding`` and ``go_json`` (how a body becomes fields), ``strictness`` (what
a careful client must never send), ``moods`` and ``accounts`` (the state of each device), ``frost`` (standing still),
``lookups`` (who is on WhatsApp), ``groups`` (who is in which group), ``downloads`` and ``pictures`` (what is behind a
URL, and whether it is a picture), ``ledger`` and ``chat_storage`` (what is remembered), ``sending`` (one send from
arrival to answer), ``names``, ``webhook``, ``receipts`` and ``inbound`` (what is told to the webhook), ``devices``,
``slots`` and ``control`` (the other routes), ``simulation`` (what one process remembers), ``app`` (all of it put together).
"""
