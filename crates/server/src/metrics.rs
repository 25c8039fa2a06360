//! What the server counts, in Prometheus' words.
//!
//! One set of figures a server, handed to whoever counts: nothing is global, since several servers
//! may live in one process. Labels come from small sets fixed in the code, never from a client.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use rollcall_ami::Figures;
use rollcall_wire::http::Role;

/// The figures of one server; clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    refusals: Family<Refused, Counter>,
    clients: Family<Client, Gauge>,
    connections: Gauge,
    sockets: Gauge,
    propagation: Histogram,
    commits: Commits,
    ami: Arc<Figures>,
}

/// What the database's writer counts.
#[derive(Clone, Debug)]
pub(crate) struct Commits {
    lists: Histogram,
    seconds: Histogram,
}

/// Where something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// A TCP connection, before or beside its requests.
    Connection,
    /// An HTTP request.
    Http,
    /// A Socket.IO connection or message.
    SocketIo,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    door: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Client {
    role: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("rollcall");
        let refusals = Family::default();
        registry.register(
            "refusals",
            "What was refused at a port, and why",
            refusals.clone(),
        );
        let clients = Family::default();
        registry.register("clients", "Socket.IO clients now", clients.clone());
        let connections = Gauge::default();
        registry.register("connections", "TCP connections now", connections.clone());
        let sockets = Gauge::default();
        registry.register(
            "sockets",
            "Socket.IO sessions now, signed in or not",
            sockets.clone(),
        );
        let propagation = Histogram::new(exponential_buckets(0.000_5, 2.0, 14));
        registry.register_with_unit(
            "propagation",
            "From a change on disk to its agent:status on the way to every dashboard",
            Unit::Seconds,
            propagation.clone(),
        );
        let commits = Commits::new(&mut registry);
        let ami = Arc::<Figures>::default();
        registry.register_collector(Box::new(AmiLink(Arc::clone(&ami))));
        Self(Arc::new(Inner {
            registry,
            refusals,
            clients,
            connections,
            sockets,
            propagation,
            commits,
            ami,
        }))
    }
}

impl Metrics {
    /// All figures as they stand, in the OpenMetrics text that Prometheus scrapes.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut written = String::new();
        text::encode(&mut written, &self.0.registry)?;
        Ok(written)
    }

    /// Something was refused; `kind` is its code.
    pub(crate) fn refused(&self, door: Door, kind: &'static str) {
        let door = match door {
            Door::Connection => "connection",
            Door::Http => "http",
            Door::SocketIo => "socketio",
        };
        let refused = Refused { door, kind };
        self.0.refusals.get_or_create(&refused).inc();
    }

    /// A TCP connection is there for as long as the answer lives.
    pub(crate) fn connection(&self) -> Counted {
        Counted::one(self.0.connections.clone())
    }

    /// A Socket.IO session is there, whoever it is of, for as long as the answer lives.
    pub(crate) fn socket(&self) -> Counted {
        Counted::one(self.0.sockets.clone())
    }

    /// A Socket.IO client is there for as long as the answer lives.
    pub(crate) fn client(&self, role: Role) -> Counted {
        let role = match role {
            Role::Agent => "agent",
            Role::Supervisor => "supervisor",
            Role::Admin => "admin",
        };
        Counted::one(self.0.clients.get_or_create(&Client { role }).clone())
    }

    /// A change that was on disk at `committed` is on its way to every dashboard.
    pub(crate) fn propagated(&self, committed: Instant) {
        let took = committed.elapsed().as_secs_f64();
        self.0.propagation.observe(took);
    }

    pub(crate) fn commits(&self) -> Commits {
        self.0.commits.clone()
    }

    /// Where the manager link counts.
    pub(crate) fn ami(&self) -> Arc<Figures> {
        Arc::clone(&self.0.ami)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Commits {
    fn new(registry: &mut Registry) -> Self {
        let lists = Histogram::new(exponential_buckets(1.0, 2.0, 9));
        registry.register(
            "commit_batch",
            "Changes answered by one durable transaction",
            lists.clone(),
        );
        let seconds = Histogram::new(exponential_buckets(0.000_5, 2.0, 14));
        registry.register_with_unit(
            "commit",
            "What a durable transaction takes",
            Unit::Seconds,
            seconds.clone(),
        );
        Self { lists, seconds }
    }

    /// A transaction of so many lists of changes is on disk.
    pub(crate) fn made(&self, lists: usize, took: Duration) {
        // Batches are of hundreds: nothing is lost on the way to a float.
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        self.lists.observe(lists as f64);
        self.seconds.observe(took.as_secs_f64());
    }
}

/// Counts one in a gauge while it lives.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    fn one(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The manager link's own figures, read when they are asked for.
#[derive(Debug)]
struct AmiLink(Arc<Figures>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Loss {
    reason: &'static str,
}

impl Collector for AmiLink {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let up = ConstGauge::new(i64::from(self.0.is_up()));
        up.encode(encoder.encode_descriptor(
            "ami_up",
            "Whether the link to Asterisk's manager interface stands",
            None,
            up.metric_type(),
        )?)?;
        if let Some(age) = self.0.silent_for(Instant::now()) {
            let age = ConstGauge::new(age.as_secs_f64());
            age.encode(encoder.encode_descriptor(
                "ami_age",
                "How long ago Asterisk was last heard",
                Some(&Unit::Seconds),
                age.metric_type(),
            )?)?;
        }
        let losses = self.0.losses();
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut lost = encoder.encode_descriptor(
            "ami_losses",
            "Manager connections, or attempts at one, that came to an end",
            None,
            kind,
        )?;
        for (reason, count) in losses {
            ConstCounter::new(count).encode(lost.encode_family(&Loss { reason })?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_can_be_scraped_and_two_servers_share_nothing() {
        let (metrics, other) = (Metrics::default(), Metrics::default());
        metrics.refused(Door::Http, "too_slow");
        metrics.commits().made(3, Duration::from_millis(2));
        metrics.propagated(Instant::now());
        let _supervisor = metrics.client(Role::Supervisor);
        let text = metrics.render().unwrap();
        for line in [
            "rollcall_refusals_total{door=\"http\",kind=\"too_slow\"} 1",
            "rollcall_commit_batch_count 1",
            "rollcall_propagation_seconds_count 1",
            "rollcall_clients{role=\"supervisor\"} 1",
            "rollcall_ami_up 0",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("rollcall_ami_age"), "it was never heard");
        assert!(!other.render().unwrap().contains("too_slow"));
    }
}
