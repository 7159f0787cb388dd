"""HTTP: one module per endpoint, one renderer of errors, cookies and pages.

Owns: requests and responses. Does not own: any rule of OAuth, which it only calls. The only package
that imports Starlette.
"""
