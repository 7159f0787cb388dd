"""The connector for LDAP directories.

Owns: from a typed name and password to an identity with its groups, and whether a person who once
signed in is still there. Does not own: where its configuration is written (`idp.settings`,
`idp.objects`), nor what an identity comes to in a token (`idp.oauth`).
"""
