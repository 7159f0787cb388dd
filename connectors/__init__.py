"""Where users come from. A leaf: imports neither idp nor storage."""
