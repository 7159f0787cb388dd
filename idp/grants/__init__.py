"""The grants of the token endpoint: one file per `grant_type`.

Owns: what must be true before an authorization becomes tokens, and what is written for it. Does not
own: client authentication (done once, before any grant), HTTP, token contents (`idp.tokens`).
"""
