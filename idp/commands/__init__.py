"""The commands, one file each, and what they share: the console and the way to a store.

A command is a function of its arguments and a `Console`; it returns an exit status or raises
`CommandFailed`. Parsing the command line is `idp.cli`. `idp.cli` loads a command only when it is
run, so that `idp --help` need not load a web server.
"""
