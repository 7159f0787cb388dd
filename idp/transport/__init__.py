"""The transport: sockets, TLS, HTTP/1.1, deadlines, drain and worker processes.

It serves any ASGI application and knows nothing of OpenID Connect. It owns what must hold before a
request may reach a handler: framing (no request smuggling), sizes, deadlines of slow clients, one
meaning per request target. It does not own routes, pages, `Host` policy or readiness.

- `limits`: every figure, in one frozen dataclass.
- `protocol`: one connection, on uvicorn's httptools protocol; `connections`: all of them.
- `targets`, `framing`: what a request line and a head may look like; pure.
- `documents`: answers made in advance, sent without a task.
- `addresses`: binding. `listeners`: serving, draining. `tls`: certificates and their reload.
- `workers`: several processes on the same sockets.
"""
