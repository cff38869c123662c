"""The composition root: builds every part from the settings, hands it down, and runs a server or a worker.

This is the only package that depends on all others. Lower ones receive plain values and each other, never the settings.
Each module builds one part; `runtime` opens the resources that all parts need.
"""
