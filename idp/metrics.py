"""The numbers that an operator watches, on a registry of their own.

Labels are names from the configuration or fixed words: nothing that a visitor can choose, so the
number of time series is bounded.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from idp import __version__

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "idp_http_requests",
            "Requests answered, by route, method and status.",
            ("route", "method", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "idp_http_request_seconds",
            "Time to answer, by route.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.documents = Counter(
            "idp_http_documents",
            "Discovery and key set answers, served before the framework.",
            ("path", "status"),
            registry=registry,
        )
        self.logins = Counter(
            "idp_logins",
            "Sign-ins by connector and result: succeeded, failed, refused, throttled, unavailable.",
            ("connector", "result"),
            registry=registry,
        )
        self.connector_reachable = Gauge(
            "idp_connector_reachable",
            "1 if the connector's source of users answered when last asked, 0 if not, NaN if the"
            " connector is gone.",
            ("connector",),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.connector_events = Counter(
            "idp_connector_events",
            "What a connector noticed of its source of users, by connector and event.",
            ("connector", "event"),
            registry=registry,
        )
        self.token_requests = Counter(
            "idp_token_requests",
            "Answers of the token endpoint by grant type and result (ok or the error code).",
            ("grant_type", "result"),
            registry=registry,
        )
        self.revocations = Counter(
            "idp_revocation_requests",
            "Answers of the revocation endpoint: ended, nothing (to end), or the error code.",
            ("result",),
            registry=registry,
        )
        self.introspections = Counter(
            "idp_introspection_requests",
            "Answers of the introspection endpoint: active, inactive, or the error code.",
            ("result",),
            registry=registry,
        )
        self.registrations = Counter(
            "idp_registration_requests",
            "Answers of the registration endpoint by method (register, read, replace, remove) and"
            " result (ok or the error code).",
            ("method", "result"),
            registry=registry,
        )
        self.registered_clients = Gauge(
            "idp_registered_clients",
            "Clients that registered themselves.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.events = Counter(
            "idp_audit_events",
            "Events of the audit log by name.",
            ("event",),
            registry=registry,
        )
        self.signing_keys = Gauge(
            "idp_signing_keys",
            "Signing keys by state: next, signing, retired.",
            ("state",),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.ended_grants = Gauge(
            "idp_ended_grants",
            "Ended grants remembered until their last access token has expired.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.objects = Gauge(
            "idp_objects",
            "Objects that people wrote, by kind and state: ready, refused, conflict, waiting.",
            ("kind", "state"),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.watch_contact = Gauge(
            "idp_watch_contact_timestamp_seconds",
            "When a watch of the store last gave a sign of life, by kind, in seconds since 1970.",
            ("kind",),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.sealing_keys = Gauge(
            "idp_sealing_keys",
            "Sealing keys that open what is stored.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.resealing = Gauge(
            "idp_resealing_records",
            "Records of the running reseal, by state: rewritten, left (they do not open).",
            ("state",),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.records_unreadable = Counter(
            "idp_records_unreadable",
            "Times that a record in the store did not open, by kind.",
            ("kind",),
            registry=registry,
        )
        self.store_failures = Counter(
            "idp_store_failures",
            "Answers that were 503 because the store did not answer.",
            registry=registry,
        )
        self.certificate_reloads = Counter(
            "idp_certificate_reloads",
            "Reloads of the serving certificate by result: ok or failed.",
            ("result",),
            registry=registry,
        )
        self.build = Gauge(
            "idp_build_info",
            "Always 1; the label tells the version.",
            ("version",),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.build.labels(__version__).set(1)
