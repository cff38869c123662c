"""Twilio's protocol without I/O: media messages, webhooks, TwiML, signatures, access tokens.

The carrier's field names are used only in this package, which returns domain types.
"""
