"""The dashboard and its Message Playground at ``/`` and ``/dashboard``.

Read: ``pages`` (what is served, and under which headers), ``static_files``, then ``templates/dashboard.html`` and
``static/dashboard.js``. The page holds no figures: its scripts read the same API as everybody (``answers.d.ts`` says what of
it), with the login that the browser keeps, and nothing of it comes from another host.
"""

from services.gateway.web.pages import add_pages

__all__ = ["add_pages"]
