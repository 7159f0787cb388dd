"""What the tests are made with: real servers, a real browser, parts that stand in for people.

Owns nothing of the product and is never shipped. Typed as strictly as the product, because a test
is only worth what its instruments are worth.
"""
