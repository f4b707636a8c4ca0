"""What Prometheus may know.  No label ever holds a name, a user or a session id."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

RECONCILES = Counter(
    "conversation_operator_reconciles_total",
    "Passes over one object, by kind and result (ok, retry, error).",
    ["kind", "result"],
    registry=REGISTRY,
)
RECONCILE_SECONDS = Histogram(
    "conversation_operator_reconcile_seconds",
    "Duration of one pass.",
    ["kind"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
    registry=REGISTRY,
)
WRITES = Counter(
    "conversation_operator_writes_total",
    "Write requests to the API server, by what was written and result (ok, refused, failed).",
    ["write", "result"],
    registry=REGISTRY,
)
EVENTS = Counter(
    "conversation_operator_events_total", "Events posted, by reason.", ["reason"], registry=REGISTRY
)
STARTUP_SECONDS = Histogram(
    "conversation_operator_startup_seconds",
    "From the first sight of a wish to the runtime Ready.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300),
    registry=REGISTRY,
)
RESTARTS = Counter(
    "conversation_operator_pod_replacements_total",
    "Runtime pods given up for a new one, by reason.",
    ["reason"],
    registry=REGISTRY,
)
QUEUE_DEPTH = Gauge(
    "conversation_operator_queue_depth", "Keys that wait for a worker.", registry=REGISTRY
)
CONVERSATIONS = Gauge(
    "conversation_operator_conversations", "Conversations by phase.", ["phase"], registry=REGISTRY
)
LEADER = Gauge("conversation_operator_leader", "1 while this replica acts.", registry=REGISTRY)
SYNCED = Gauge(
    "conversation_operator_synced_seconds",
    "From process start to all caches synced; 0 until then.",
    registry=REGISTRY,
)
