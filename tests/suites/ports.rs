//! Bad input at the ports of a server at work: each kind has a name and a figure, and a call that is going on, the
//! board and who signs in know nothing of it. (Each port's own behaviour is held by its crate's tests.)

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::scene::{Mode, Scene};
use rollcall_e2e::server::{Options, SUPERVISOR};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Agent, Server, eventually};
use serde_json::json;

/// What the server may hold more under attack than at rest.
const ROOM: usize = 64 << 20;

#[tokio::test]
async fn hostile_clients_by_the_dozen_are_named_and_disturb_neither_calls_nor_board() {
    let scene = impatient().await;
    let caller = Agent::new("1001")
        .with(["--dial", "600"])
        .start(&scene.server);
    scene.board.shows("1001", "OnCall", PROMPTLY).await;
    let token = scene.server.token(SUPERVISOR).await;
    let before = scene.server.resources().memory;
    let silent: Vec<_> = (0..50).map(|_| connect(&scene.server)).collect();
    let slow: Vec<_> = (0..20)
        .map(|_| say(&scene.server, b"POST /api/users/login HTTP/1.1\r\nho"))
        .collect();
    let garbage: Vec<_> = (0..20)
        .map(|_| say(&scene.server, &[0xff; 4_096]))
        .collect();
    let deaf: Vec<_> = (0..20)
        .map(|_| deaf_client(&scene.server, &token))
        .collect();
    for mut client in deaf.iter().filter_map(|stream| stream.try_clone().ok()) {
        std::thread::spawn(move || {
            // It asks for the board over and over, says that it is alive, and never reads.
            while client.write_all(&frame("42[\"agents:resync\"]")).is_ok()
                && client.write_all(&frame("3")).is_ok()
            {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
    }
    let mut other = scene.signed_in("1002").await;
    assert!(other.terminate().await.success());
    scene.board.shows("1002", "Offline", PROMPTLY).await;
    for kind in ["silent", "slow_headers", "not_http"] {
        counted(
            &scene.server,
            &format!("rollcall_refusals_total{{door=\"connection\",kind=\"{kind}\"}}"),
        )
        .await;
    }
    counted(
        &scene.server,
        "rollcall_refusals_total{door=\"socketio\",kind=\"resync_too_soon\"}",
    )
    .await;
    for line in [
        "rollcall_propagation_seconds_count",
        "rollcall_commit_batch_count",
        "rollcall_ami_up 1",
    ] {
        counted(&scene.server, line).await;
    }
    let grown = scene.server.resources().memory.saturating_sub(before);
    assert!(grown < ROOM, "{grown} bytes more");
    let channels = scene.asterisk.rx("core show channels concise").await;
    assert!(
        channels.contains("PJSIP/1001-"),
        "the call goes on: {channels}"
    );
    drop((silent, slow, garbage, deaf, caller));
}

#[tokio::test]
async fn an_ami_that_talks_nonsense_floods_or_stops_is_left_and_taken_up_again() {
    let scene = Scene::start(Mode::Mirror).await;
    let _agent = scene.signed_in("1001").await;
    scene.server.ami().forge(&[b'x'; 64 * 1024]);
    counted(
        &scene.server,
        "rollcall_ami_losses_total{reason=\"line_too_long\"} 1",
    )
    .await;
    right_again(&scene).await;

    // Half an event: the next word of Asterisk's own ends it, and means nothing any more.
    scene
        .server
        .ami()
        .forge(b"Event: ContactStatus\r\nAOR: 1001\r\nURI: sip:10");
    scene.all_say_available("1001").await;

    let before = scene.server.resources().memory;
    let noise =
        b"Event: Newexten\r\nChannel: PJSIP/1001-1\r\nAppData: none\r\n\r\n".repeat(100_000);
    scene.server.ami().forge(&noise);
    let mut other = scene.signed_in("1002").await;
    assert!(other.terminate().await.success());
    right_again(&scene).await;
    let grown = scene.server.resources().memory.saturating_sub(before);
    assert!(grown < ROOM, "{grown} bytes more");
}

#[tokio::test]
async fn an_asterisk_that_hangs_in_mid_sentence_is_out_of_sight_and_seen_again() {
    let scene = Scene::start(Mode::Mirror).await;
    let _agent = scene.signed_in("1001").await;
    scene.asterisk.freeze();
    scene.board.shows("1001", "Unknown", PROMPTLY).await;
    counted(
        &scene.server,
        "rollcall_ami_losses_total{reason=\"silent\"} 1",
    )
    .await;
    scene.asterisk.thaw();
    right_again(&scene).await;
}

async fn right_again(scene: &Scene) {
    scene
        .board
        .shows("1001", "Available", Duration::from_secs(30))
        .await;
    scene.all_say_available("1001").await;
}

async fn impatient() -> Scene {
    let options = Options {
        more: "[limits]\nheaders_timeout_ms = 1000\nunread_timeout_ms = 1000\n".to_owned(),
        ..Options::default()
    };
    Scene::start_with(Mode::Mirror, Settings::default(), options).await
}

/// Waits until the server has counted something.
async fn counted(server: &Server, line: &str) {
    eventually(line, PROMPTLY, async || {
        let figures = server.figures().await;
        if figures.contains(line) {
            Ok(())
        } else {
            Err(figures)
        }
    })
    .await;
}

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, server.port()))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn say(server: &Server, words: &[u8]) -> TcpStream {
    let mut stream = connect(server);
    let _ = stream.write_all(words);
    stream
}

/// A Socket.IO client by hand: it upgrades, names its token, and never reads again.
fn deaf_client(server: &Server, token: &str) -> TcpStream {
    let mut stream = say(
        server,
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let mut status = [0; 12];
    stream
        .read_exact(&mut status)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(&status, b"HTTP/1.1 101");
    let hello = format!("40{}", json!({ "token": token }));
    stream
        .write_all(&frame(&hello))
        .unwrap_or_else(|error| panic!("{error}"));
    stream
}

/// A masked text frame, the mask being nought.
fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or_else(|_| panic!("{text} is long"));
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}
