"""An application that lets people sign in with the provider, and shows what it was given.

Read `provider.py` to learn how to talk to an OpenID Connect provider, `web.py` for what belongs
around it: a session, a protected form, and errors that people can act on.
"""
