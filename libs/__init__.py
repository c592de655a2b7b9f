"""Capabilities that any service may use; nothing here knows a service."""
