"""The steps of a browser's login, without HTML and without HTTP.

Owns: the sealed state that travels in the browser, what comes next, user names, the throttle, and
the one write at the end. Does not own: pages and cookies (`idp.web`), who the person is
(`connectors`).
"""
