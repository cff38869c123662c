"""Webhooks as rows: endpoints and deliveries."""
