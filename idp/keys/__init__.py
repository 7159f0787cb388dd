"""Keys: what is signed, sealed and tagged, and with which key.

Owns the life of signing keys (`ring`, `rotate`), the published key set (`jwks`), signing and
verifying our own tokens (`signer`, `verify`, both kept current by `live`), strict reading of tokens
of strangers (`compact`), sealed values (`seal`, `key_file`), the text of codes and refresh tokens
(`handles`). The only package that imports joserfc, jwcrypto and cryptography.

It does not know what the claims of a token mean, nor which store a ring is kept in.
"""
