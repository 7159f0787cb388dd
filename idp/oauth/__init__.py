"""The rules of OAuth 2 and OpenID Connect as pure functions from values to values.

Owns: parameters, errors, redirect matching, PKCE, scopes, client authentication, claims, metadata.
Does not own: HTTP, storage, keys, time. Nothing here awaits, logs or looks at a clock.
"""
