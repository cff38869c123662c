"""The HTML pages: routers, templates' filters, static files."""
