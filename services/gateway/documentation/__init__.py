"""GET /docs: Swagger UI, out of a wheel that only carries its files, over /docs/openapi.yml (``pages``). Nothing comes from
elsewhere.
"""
