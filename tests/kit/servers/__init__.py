"""Real servers and a real browser as context managers, on 127.0.0.1, each in its own directory.

Every one of them has a hard deadline for starting and stopping, writes its output to a file, and
dies with the test run. Where the programs come from is `tests.kit.install`.
"""
