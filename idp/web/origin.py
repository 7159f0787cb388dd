"""Whether a form was sent from one of our own pages.

The sealed state in every form is bound to the browser's cookie, so a form cannot be forged without
it; this check is the second lock (OWASP CSRF: verify the origin).
"""

from starlette.requests import Request

from idp.web.errors import CrossSite


def check_same_origin(request: Request, origin: str) -> None:
    """Raise CrossSite for a form that a page of another site sent.

    Browsers that send Sec-Fetch-Site tell it outright. Origin is "null" on our own forms as well,
    because our pages send no referrer, so "null" alone decides nothing.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise CrossSite
    sent = request.headers.get("origin")
    if sent is not None and sent != "null" and sent != origin:
        raise CrossSite
