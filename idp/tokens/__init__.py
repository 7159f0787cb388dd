"""What is issued: which claims a token carries, how long it lives, when a refresh token is spent.

Owns: the contents of access and ID tokens, the life of refresh tokens. Does not own: HTTP, who may
ask (`idp.grants`), how a signature is made (`idp.keys`).
"""
