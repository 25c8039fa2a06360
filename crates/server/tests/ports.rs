//! Bad input at the ports: each kind is named, counted, and harms nobody.

mod common;

use std::{net::SocketAddr, time::Duration};

use common::{House, PATIENCE, next, watch};
use rollcall_e2e::waiting::eventually;
use rollcall_server::{
    Config,
    config::{AmiConfig, Secret},
};
use rollcall_server_client::RealtimeEvent;
use rollcall_wire::{
    board::BoardStatus,
    http::{AgentLogoutRequest, Role},
    realtime::DeviceHeartbeat,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// A server whose patience is short.
async fn impatient() -> House {
    House::open_with(|config| {
        // Longer than a request of ours waits for its turn on a busy machine.
        config.limits.headers_timeout_ms = 1_000;
        config.limits.unread_timeout_ms = 1_000;
        config.limits.request_timeout_ms = 4_000;
    })
    .await
}

/// Waits until the server has counted something.
async fn counted(house: &House, line: &str) {
    eventually(line, PATIENCE, async || {
        let figures = house.running.metrics().render().unwrap();
        match figures.contains(line) {
            true => Ok(()),
            false => Err(figures),
        }
    })
    .await;
}

async fn refusal_counted(house: &House, door: &str, kind: &str) {
    counted(
        house,
        &format!("refusals_total{{door=\"{door}\",kind=\"{kind}\"}}"),
    )
    .await;
}

/// Says `words`, then nothing, and reads until the server closes.
async fn say(address: SocketAddr, words: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(words).await;
    let mut heard = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard));
    let _ = closed.await.expect("the server closes it");
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn half_open_slow_and_broken_http_is_closed_named_and_counted() {
    let house = impatient().await;
    let address = house.running.http_addr();
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(64 * 1024));
    let half_body = b"POST /api/users/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{\"user";
    let (silent, slow, garbage, huge, body) = tokio::join!(
        say(address, b""),
        say(address, b"POST /api/users/login HTTP/1.1\r\nhost:"),
        say(
            address,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"
        ),
        say(address, long.as_bytes()),
        say(address, half_body),
    );
    assert_eq!((silent.as_str(), slow.as_str()), ("", ""));
    assert!(garbage.starts_with("HTTP/1.1 400"), "{garbage}");
    assert!(
        huge.starts_with("HTTP/1.1 431") || huge.is_empty(),
        "{huge}"
    );
    assert!(body.starts_with("HTTP/1.1 503"), "{body}");
    for kind in ["silent", "slow_headers", "not_http", "headers_too_large"] {
        refusal_counted(&house, "connection", kind).await;
    }
    refusal_counted(&house, "http", "too_slow").await;
    let mut cut = TcpStream::connect(address).await.unwrap();
    cut.write_all(half_body).await.unwrap();
    drop(cut);
    refusal_counted(&house, "http", "body_cut").await;
    house.sign_in("agent1001").await;
    counted(&house, "rollcall_connections 1\n").await;
}

#[tokio::test]
async fn a_connection_that_is_kept_and_goes_unused_is_closed_and_no_refusal() {
    let house = impatient().await;
    let heard = say(
        house.running.http_addr(),
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    );
    assert!(heard.await.starts_with("HTTP/1.1 200"));
    let figures = house.running.metrics().render().unwrap();
    assert!(
        !figures.contains("slow_headers") && !figures.contains("silent\""),
        "{figures}"
    );
}

#[tokio::test]
async fn who_asks_over_http_and_never_reads_the_answers_is_cut_off() {
    let house = impatient().await;
    let mut stream = deaf(house.running.http_addr()).await;
    let request = b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000);
    let shout = async { while stream.write_all(&request).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, shout)
        .await
        .expect("it is cut");
    refusal_counted(&house, "connection", "unread").await;
    house.client.healthz().await.unwrap();
}

#[tokio::test]
async fn a_socket_io_client_that_never_reads_is_cut_and_the_others_hear_everything() {
    let dir = tempfile::tempdir().unwrap();
    let house = crowded(&dir).await;
    let token = house.sign_in("supervisor").await.tokens.sip;
    let (_watching, mut board, _) = watch(&house.client, &token).await;
    let mut deaf = Vec::new();
    for _ in 0..3 {
        deaf.push(deaf_client(&house, &token).await);
    }
    counted(&house, "rollcall_clients{role=\"supervisor\"} 4\n").await;
    // Each says "pong" and asks for the board again and again, and reads nothing.
    for mut stream in deaf {
        tokio::spawn(async move {
            while stream
                .write_all(&frame("42[\"agents:resync\"]"))
                .await
                .is_ok()
                && stream.write_all(&frame("3")).await.is_ok()
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    let agent = house.sign_in("agent1001").await;
    let online = house
        .client
        .agent_online(&agent.tokens.sip, "1001", "sip:1001@h");
    online.await.unwrap();
    loop {
        if let RealtimeEvent::Status(status) = next(&mut board).await
            && status.agent.extension == "1001"
        {
            break;
        }
    }
    refusal_counted(&house, "connection", "unread").await;
    counted(&house, "rollcall_clients{role=\"supervisor\"} 1\n").await;
    refusal_counted(&house, "socketio", "resync_too_soon").await;
    counted(&house, "rollcall_propagation_seconds_count").await;
}

#[tokio::test]
async fn for_a_client_that_polls_and_never_fetches_one_snapshot_waits_however_often_it_asks() {
    let house = House::open().await;
    let token = house.sign_in("supervisor").await.tokens.sip;
    let client = reqwest::Client::new();
    let url = house.url("/socket.io/?EIO=4&transport=polling");
    let hello = client.get(&url).send().await.unwrap().text().await.unwrap();
    let hello: serde_json::Value = serde_json::from_str(&hello[1..]).unwrap();
    let url = format!("{url}&sid={}", hello["sid"].as_str().unwrap());
    let say = async |words: String| {
        let answer = client.post(&url).body(words.clone()).send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 200, "{words}: {:?}", answer.text().await);
    };
    let fetch = async || client.get(&url).send().await.unwrap().text().await.unwrap();
    let fetch_snapshot = async || {
        let mut heard = fetch().await;
        while !heard.contains("agents:snapshot") {
            heard = fetch().await;
        }
        heard
    };
    say(format!("40{}", serde_json::json!({ "token": token }))).await;
    fetch_snapshot().await;
    // Time enough for several, if only the time counted; and a pong to pings that it never fetched.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        say("42[\"agents:resync\"]\u{1e}3".to_owned()).await;
    }
    let waited = fetch_snapshot().await;
    assert_eq!(waited.matches("agents:snapshot").count(), 1, "{waited}");
    // Who fetches is served again.
    say("42[\"agents:resync\"]".to_owned()).await;
    let again = tokio::time::timeout(PATIENCE, fetch_snapshot()).await;
    again.expect("another snapshot");
}

#[tokio::test]
async fn a_client_that_floods_is_counted_and_keeps_nobody_waiting() {
    let house = impatient().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    let (device, _events, _) = watch(&house.client, &token).await;
    let beat = |id: &str| DeviceHeartbeat {
        device_id: id.to_owned(),
        tick: 1,
        registered: false,
        sip_loop_ms: 1,
        audio_loop_ms: None,
        audio_ok: true,
        calls: 0,
    };
    device.heartbeat(beat("somebody-elses"));
    refusal_counted(&house, "socketio", "foreign_heartbeat").await;
    let own = common::device_of("agent1001");
    let flood = async {
        loop {
            device.heartbeat(beat(&own));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = flood => {}
        () = refusal_counted(&house, "socketio", "heartbeat_too_soon") => {}
    }
    house.sign_in("agent1002").await;
    let refused = watch_refused(&house).await;
    assert_eq!(refused, "invalid_token");
    refusal_counted(&house, "socketio", "invalid_token").await;
}

#[tokio::test]
async fn figures_are_served_on_their_own_port_only() {
    let house = House::open_with(|config| {
        config.metrics.listen = Some("127.0.0.1:0".parse().unwrap());
    })
    .await;
    let address = house.running.metrics_addr().unwrap();
    let answer = reqwest::get(format!("http://{address}/metrics"))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().ends_with("# EOF\n"));
    let elsewhere = reqwest::get(format!("http://{address}/api/users/login")).await;
    assert_eq!(elsewhere.unwrap().status(), 404);
    let public = reqwest::get(house.url("/metrics")).await.unwrap();
    assert_eq!(public.status(), 404);
}

/// What a hostile peer does once the login is through.
#[derive(Clone, Copy)]
enum Hostility {
    Nonsense,
    StopsInMidLine,
    Floods,
}

#[tokio::test]
async fn an_ami_that_sends_nonsense_is_lost_under_its_name_and_nobody_is_green() {
    let house = beside(Hostility::Nonsense).await;
    counted(
        &house,
        "rollcall_ami_losses_total{reason=\"line_too_long\"}",
    )
    .await;
    counted(&house, "rollcall_ami_up 0\n").await;
    nobody_is_believed(&house).await;
}

#[tokio::test]
async fn an_ami_that_stops_in_mid_line_is_lost_as_silent() {
    let house = beside(Hostility::StopsInMidLine).await;
    counted(&house, "rollcall_ami_losses_total{reason=\"silent\"}").await;
    nobody_is_believed(&house).await;
}

#[tokio::test]
async fn an_ami_that_floods_keeps_nobody_from_signing_in_and_out() {
    let house = beside(Hostility::Floods).await;
    counted(&house, "rollcall_ami_up 1\n").await;
    counted(&house, "rollcall_ami_age_seconds ").await;
    for _ in 0..3 {
        nobody_is_believed(&house).await;
    }
}

/// Signing in and out work, and the board claims nothing.
async fn nobody_is_believed(house: &House) {
    let token = house.sign_in("agent1001").await.tokens.sip;
    let answer = house.client.agent_online(&token, "1001", "sip:1001@h");
    let answer = tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap()
        .unwrap();
    assert_ne!(answer.agent.status, BoardStatus::Available);
    let request = AgentLogoutRequest::default();
    let logout = house.client.agent_logout(&token, &request);
    tokio::time::timeout(PATIENCE, logout)
        .await
        .unwrap()
        .unwrap();
}

async fn beside(hostility: Hostility) -> House {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(play(stream, hostility));
        }
    });
    House::open_with(|config: &mut Config| {
        config.ami = Some(AmiConfig::new(address, "lab", Secret::new("pw")));
    })
    .await
}

/// Plays an Asterisk as far as a link needs one, then is hostile.
async fn play(mut stream: TcpStream, hostility: Hostility) -> std::io::Result<()> {
    stream
        .write_all(b"Asterisk Call Manager/11.0.0\r\n")
        .await?;
    let mut heard = String::new();
    let mut buffer = [0; 4096];
    let id = loop {
        let length = stream.read(&mut buffer).await?;
        heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
        let line = heard
            .lines()
            .find_map(|line| line.strip_prefix("ActionID: "));
        if length == 0 || heard.ends_with("\r\n\r\n") {
            break line.unwrap_or_default().to_owned();
        }
    };
    let welcome = format!(
        "Response: Success\r\nActionID: {id}\r\nMessage: Authentication accepted\r\n\r\nEvent: FullyBooted\r\nStatus: Fully Booted\r\n\r\n"
    );
    stream.write_all(welcome.as_bytes()).await?;
    let (mut reads, mut writes) = stream.split();
    let listen = async {
        let mut ignored = [0; 4096];
        while reads.read(&mut ignored).await? > 0 {}
        Ok(())
    };
    let speak = async {
        match hostility {
            Hostility::Nonsense => writes.write_all(&[b'x'; 64 * 1024]).await?,
            Hostility::StopsInMidLine => writes.write_all(b"Event: DeviceState").await?,
            Hostility::Floods => loop {
                let noise = b"Event: Newexten\r\nChannel: x\r\n\r\n".repeat(100);
                writes.write_all(&noise).await?;
                let toggle = b"Event: DeviceStateChange\r\nDevice: PJSIP/1002\r\nState: INUSE\r\n\r\nEvent: DeviceStateChange\r\nDevice: PJSIP/1002\r\nState: NOT_INUSE\r\n\r\n";
                writes.write_all(toggle).await?;
            },
        }
        std::future::pending::<std::io::Result<()>>().await
    };
    tokio::select! { ended = listen => ended, ended = speak => ended }
}

/// A server that knows so many agents that a board is a quarter of a megabyte.
async fn crowded(dir: &tempfile::TempDir) -> House {
    let config = common::config(dir.path());
    let supervisor = common::person("supervisor", None, Role::Supervisor);
    let agent = common::person("agent1001", Some("1001"), Role::Agent);
    for person in [supervisor, agent] {
        rollcall_server::add_person(&config, person).await.unwrap();
    }
    common::copy_agents(dir.path(), 2_000..3_000).await;
    House::open_on(dir, |config| config.limits.unread_timeout_ms = 500).await
}

/// A connection that takes as little as the system lets it.
async fn deaf(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    socket.connect(address).await.unwrap()
}

/// A Socket.IO client by hand: it upgrades, names its token, and never reads again.
async fn deaf_client(house: &House, token: &str) -> TcpStream {
    let mut stream = deaf(house.running.http_addr()).await;
    let upgrade = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 101");
    let hello = format!("40{}", serde_json::json!({ "token": token }));
    stream.write_all(&frame(&hello)).await.unwrap();
    stream
}

/// A masked text frame, the mask being nought.
fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

async fn watch_refused(house: &House) -> String {
    let client = house.client.clone();
    let (_realtime, mut events) =
        rollcall_server_client::Realtime::connect(&client, "x".repeat(43));
    match next(&mut events).await {
        RealtimeEvent::Rejected(error) => error.code,
        other => panic!("{other:?}"),
    }
}
