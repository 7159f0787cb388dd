"""What another certified provider makes of the requests that the specifications leave in doubt.

`provider` is one provider, ours or node-oidc-provider, as the questions see it. The questions are
`authorization`, `token`, `resources` and `registration`, each a table of name and request; an
answer comes to an `outcome`. Where the two differ `differences.toml` says why, or the test fails.
"""
