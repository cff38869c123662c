"""Twilio's protocol without I/O: media messages, webhooks, TwiML, signatures, access tokens.

The carrier's field names stop here; what leaves this package are domain types.
"""
