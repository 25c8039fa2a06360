//! The tasks of manager connections.

use std::collections::HashMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::pbx::ManagerId;

/// Packets that may wait for a manager; one that reads slower is disconnected.
const BACKLOG: usize = 8192;
/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What connections report.
#[derive(Debug)]
pub(super) enum FromManager {
    Bytes(ManagerId, Vec<u8>),
    Gone(ManagerId),
}

/// One connection's tasks.
#[derive(Debug)]
struct Connection {
    packets: mpsc::Sender<Vec<u8>>,
    reader: AbortHandle,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Connections {
    made: u64,
    open: HashMap<ManagerId, Connection>,
    reports: (mpsc::Sender<FromManager>, mpsc::Receiver<FromManager>),
    readers: JoinSet<()>,
    writing: JoinSet<()>,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            made: 0,
            open: HashMap::new(),
            reports: mpsc::channel(64),
            readers: JoinSet::new(),
            writing: JoinSet::new(),
        }
    }
}

impl Connections {
    pub(super) fn add(&mut self, stream: TcpStream) -> ManagerId {
        // The tasks of connections that ended are let go here.
        while self.readers.try_join_next().is_some() {}
        while self.writing.try_join_next().is_some() {}
        self.made += 1;
        let id = ManagerId(self.made);
        // Without it each answer would wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let (sender, packets) = mpsc::channel(BACKLOG);
        let reader = self.readers.spawn(read(id, reader, self.reports.0.clone()));
        self.writing.spawn(write(writer, packets));
        self.open.insert(
            id,
            Connection {
                packets: sender,
                reader,
            },
        );
        id
    }

    pub(super) async fn recv(&mut self) -> Option<FromManager> {
        self.reports.1.recv().await
    }

    /// Queues bytes; `false` when the manager reads too slowly and should be disconnected.
    pub(super) fn send(&self, id: ManagerId, bytes: Vec<u8>) -> bool {
        self.open
            .get(&id)
            .is_none_or(|connection| connection.packets.try_send(bytes).is_ok())
    }

    /// Closes a connection once what waits for it is written.
    pub(super) fn remove(&mut self, id: ManagerId) {
        if let Some(connection) = self.open.remove(&id) {
            connection.reader.abort();
        }
    }

    /// Closes all connections once what waits for them is written.
    pub(super) async fn finish(mut self) {
        self.readers.abort_all();
        self.open.clear();
        let all_written = async { while self.writing.join_next().await.is_some() {} };
        // Whoever does not read its goodbye goes without.
        let _ = tokio::time::timeout(FAREWELL, all_written).await;
    }
}

async fn read(id: ManagerId, mut stream: OwnedReadHalf, reports: mpsc::Sender<FromManager>) {
    let mut buffer = vec![0; 4096];
    while let Ok(length) = stream.read(&mut buffer).await {
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty()
            || reports
                .send(FromManager::Bytes(id, bytes.to_vec()))
                .await
                .is_err()
        {
            break;
        }
    }
    // Nobody listens any more when the PBX has ended.
    let _ = reports.send(FromManager::Gone(id)).await;
}

async fn write(mut stream: OwnedWriteHalf, mut packets: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = packets.recv().await {
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // The other side may be gone already.
    let _ = stream.shutdown().await;
}
