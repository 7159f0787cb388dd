"""Clients that register themselves (RFC 7591, RFC 7592, OIDC Dynamic Client Registration 1.0).

Owns: what an application may say of itself, the records of those that did, the live set that
requests look into. Does not own: HTTP, and what a client may do (`idp.oauth`).
"""
