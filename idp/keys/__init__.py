"""Keys: what is signed, sealed and tagged, and with which key.

Owns the life of signing keys (`ring`, `rotate`; asked for by people: `rotate_request`; after the
store went back: `restored`), the published key set (`jwks`), signing and verifying our own tokens
(`signer`, `verify`, both kept current by `adoption` and `live`), strict reading of tokens of
strangers (`compact`), sealed values (`seal`), where their keys come from and which one seals
(`key_file`, `key_source`, `sealing_order`, `follow`), replacing them (`reseal`, `resealer`), and
the text of codes and refresh tokens (`handles`). The only package that imports joserfc, jwcrypto
and cryptography.

It does not know what the claims of a token mean, nor which store a ring is kept in.
"""
