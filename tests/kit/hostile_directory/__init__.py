"""A directory server of our own, for what a real one cannot be made to do.

`server.HostileDirectory` answers binds and searches over the entries it is given, writes down every
byte of meaning that it is sent, and does what it is told by `behaviours` to one operation or all.
`poison` has answers that no honest server sends, `bad_certificates` what no honest one shows.
"""
