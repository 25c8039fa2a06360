//! Our phone against Asterisk 22 over every transport that both speak: it registers, and hears its own tone come back.

use std::time::Duration;

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::phone::Phone;
use rollcall_e2e::relay::Relay;
use rollcall_e2e::server::Options;
use rollcall_e2e::sound::{Recording, Voice, folder};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Agent, Asterisk, Scene, eventually};

/// A phone for 1001 over this transport.
fn phone(asterisk: &Asterisk, transport: &str) -> Phone {
    let password = asterisk.password_of("1001");
    let phone = match transport {
        "tls" => {
            Phone::at("1001", &asterisk.sip_over_tls(), password).trusting(&asterisk.certificate())
        }
        "ws" => {
            let address = format!("127.0.0.1:{}", asterisk.http_port());
            Phone::at("1001", &address, password)
        }
        _ => Phone::of("1001", asterisk),
    };
    phone.over(transport)
}

async fn registers_and_hears_its_echo(transport: &str, hertz: f64) {
    let asterisk = Asterisk::start(Settings::default()).await;
    let folder = folder();
    let sound = Voice::new(&folder, transport, hertz);
    let mut phone = phone(&asterisk, transport)
        .codecs("pcmu")
        .speaking(&sound.spoken, &sound.heard)
        .dialling("600")
        .start();
    let contact = phone.registered().await;
    assert!(
        contact.ends_with(&format!(";transport={transport}")),
        "{contact}"
    );
    eventually(
        "Asterisk reaches the phone over it",
        PROMPTLY,
        async || match asterisk.contacts("1001").await {
            listed if listed.len() == 1 && listed[0].status == "Avail" => Ok(()),
            listed => Err(format!("{listed:?}")),
        },
    )
    .await;
    phone.event("answered").await;
    sound.grows_to(3.0).await;
    assert!(phone.program.terminate().await.success());
    assert_eq!(asterisk.contacts("1001").await, [], "un-REGISTERed");
    sound.recorded().is_a_tone_of(hertz, 0.05);
}

#[tokio::test]
async fn a_phone_registers_over_tcp_and_hears_its_echo() {
    registers_and_hears_its_echo("tcp", 440.0).await;
}

#[tokio::test]
async fn a_phone_registers_over_tls_and_hears_its_echo() {
    registers_and_hears_its_echo("tls", 550.0).await;
}

#[tokio::test]
async fn a_phone_registers_over_a_websocket_and_hears_its_echo() {
    registers_and_hears_its_echo("ws", 660.0).await;
}

#[tokio::test]
async fn a_call_is_carried_over_to_a_new_connection() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let relay = Relay::to(asterisk.sip_port());
    let address = format!("127.0.0.1:{}", relay.port());
    let mut phone = Phone::at("1001", &address, asterisk.password_of("1001"))
        .over("tcp")
        .commanded()
        .start();
    let before = phone.registered().await;
    phone.tell("dial 600");
    phone.event("answered").await;
    relay.cut();
    phone.event("registration_failed").await;
    relay.mend();
    let moved = |event: &serde_json::Value| event["contact"] != before.as_str();
    phone.event_where("registered", moved).await;
    // Only who was told of the new connection can end the call over it.
    asterisk.rx("channel request hangup all").await;
    let ended = phone.event("ended").await;
    assert_eq!(ended["reason"], "remote", "{ended}");
}

#[tokio::test]
async fn a_call_follows_the_phone_to_another_address_and_the_echo_comes_there() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let folder = folder();
    let sound = Voice::new(&folder, "moving", 440.0);
    let mut phone = Phone::of("1001", &asterisk)
        .codecs("pcmu")
        .speaking(&sound.spoken, &sound.heard)
        .commanded()
        .start();
    let before = phone.registered().await;
    assert!(before.contains("@127.0.0.1:"), "{before}");
    phone.tell("dial 600");
    phone.event("answered").await;
    sound.grows_to(1.0).await;
    phone.tell("move-to 127.0.0.2");
    let is_there = |event: &serde_json::Value| event.to_string().contains("@127.0.0.2:");
    phone.event_where("registered", is_there).await;
    eventually(
        "the old contact is gone",
        PROMPTLY,
        async || match &asterisk.contacts("1001").await[..] {
            [contact] if contact.uri.contains("@127.0.0.2:") => Ok(()),
            listed => Err(format!("{listed:?}")),
        },
    )
    .await;
    let there = packets_from(&asterisk, "1001").await;
    eventually(
        "Asterisk hears it there",
        PROMPTLY,
        async || match packets_from(&asterisk, "1001").await {
            now if now >= there + 50 => Ok(()),
            now => Err(format!("{now} packets, {there} when it had moved")),
        },
    )
    .await;
    // What is heard from now on is the echo of what was said there.
    let seconds = sound.seconds();
    sound.grows_to(seconds + 3.0).await;
    asterisk.rx("channel request hangup all").await;
    let ended = phone.event("ended").await;
    assert_eq!(ended["reason"], "remote", "{ended}");
    assert!(phone.program.terminate().await.success());
    let tone = Recording::read(&sound.heard).after(seconds).tone(440.0);
    assert!(tone.came_through(1.0, 0.05), "{tone:?}");
}

/// How many packets of sound Asterisk has had from the only channel of this extension.
async fn packets_from(asterisk: &Asterisk, extension: &str) -> u64 {
    let listed = asterisk.rx("pjsip show channelstats").await;
    // The channel, how long it is up, its codec, and then how many packets came.
    let counted = listed.lines().find_map(|line| {
        let (_, of_channel) = line.split_once(&format!(" {extension}-"))?;
        of_channel.split_whitespace().nth(3)?.parse().ok()
    });
    counted.unwrap_or_else(|| panic!("{listed}"))
}

#[tokio::test]
async fn an_agent_whose_server_says_tls_and_whose_word_counts_is_available_over_tls() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let options = Options {
        registrar: Some((asterisk.sip_over_tls(), "tls")),
        sip_ca: Some(asterisk.certificate()),
        ..Options::default()
    };
    let scene = Scene::beside(asterisk, options).await;
    let _agent = Agent::new("1001").start(&scene.server);
    scene.all_say_available("1001").await;
    let listed = scene.asterisk.rx("database show registrar/contact").await;
    let listed = listed.to_ascii_lowercase();
    assert!(listed.contains("transport=tls"), "{listed}");
}

#[tokio::test]
async fn an_agent_who_names_the_authority_is_available_over_tls_and_without_it_says_why_not() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let options = Options {
        registrar: Some((asterisk.sip_over_tls(), "tls")),
        ..Options::default()
    };
    let scene = Scene::beside(asterisk, options).await;
    let stranger = Agent::new("1002").start(&scene.server);
    let certificate = scene.asterisk.certificate();
    let agent = Agent::new("1001").with(["--sip-ca".into(), certificate.into_os_string()]);
    let _agent = agent.start(&scene.server);
    scene.all_say_available("1001").await;
    eventually(
        "what is not trusted is named",
        PROMPTLY,
        async || match stranger.events() {
            told if told
                .iter()
                .any(|event| event.to_string().contains("secure connection failed")) =>
            {
                Ok(())
            }
            told => Err(format!("{told:?}")),
        },
    )
    .await;
    assert_eq!(scene.asterisk.contacts("1002").await, []);
}

#[tokio::test]
async fn a_phone_answers_asterisks_challenge_by_sha_256() {
    let asterisk = Asterisk::start(Settings {
        auth: "supported_algorithms_uas = SHA-256".to_owned(),
        ..Settings::default()
    })
    .await;
    asterisk.rx("pjsip set logger on").await;
    let mut phone = Phone::of("1001", &asterisk).commanded().start();
    phone.registered().await;
    phone.tell("dial 600");
    phone.event("answered").await;
    phone.tell("hangup");
    phone.event("ended").await;
    let said = asterisk.whole_log().to_ascii_lowercase();
    let answered = said
        .lines()
        .filter(|line| line.contains("authorization:") && line.contains("algorithm=sha-256"));
    assert!(answered.count() >= 2, "REGISTER and INVITE");
    assert!(
        !said.contains("algorithm=md5"),
        "nothing weaker was offered"
    );
}

#[tokio::test]
async fn a_tls_server_that_nobody_vouches_for_is_refused() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let phone = Phone::at(
        "1001",
        &asterisk.sip_over_tls(),
        asterisk.password_of("1001"),
    );
    let phone = phone.over("tls").start();
    let failed = phone.event("registration_failed").await;
    assert_eq!(failed["code"], "registrar_unreachable", "{failed}");
    let words = failed["message"].as_str().unwrap_or_default();
    assert!(words.contains("secure connection failed"), "{failed}");
    assert_eq!(asterisk.contacts("1001").await, []);
}

#[tokio::test]
async fn a_phone_on_tcp_comes_back_when_asterisk_does() {
    let mut asterisk = Asterisk::start(Settings::default()).await;
    let phone = phone(&asterisk, "tcp").start();
    phone.registered().await;
    asterisk.kill();
    let failed = phone.event("registration_failed").await;
    assert_eq!(failed["code"], "registrar_unreachable", "{failed}");
    asterisk.boot().await;
    eventually(
        "the phone has registered over a new connection",
        Duration::from_secs(60),
        async || match asterisk.contacts("1001").await {
            listed if listed.len() == 1 && listed[0].status == "Avail" => Ok(()),
            listed => Err(format!("{listed:?}")),
        },
    )
    .await;
}
