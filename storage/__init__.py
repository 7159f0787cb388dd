"""Where records are kept. A leaf: imports neither idp nor connectors."""
