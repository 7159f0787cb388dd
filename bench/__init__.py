"""What an operation costs: CPU time of the provider, in units of one RSA-2048 signature.

`python -m bench` prints the table that is committed as `bench/RESULTS.md`. Loads go to processes of
this machine only and are bounded in count.
"""
