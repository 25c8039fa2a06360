//! What the phone watches at Asterisk 22: the lamp of its voicemail, and other people's lines by their hints.

use rollcall_e2e::Asterisk;
use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::phone::{Phone, Running};
use rollcall_e2e::sound::{Voice, folder};
use rollcall_e2e::waiting::PROMPTLY;

/// The registered phone of 1001, which is told what to watch.
async fn watching(asterisk: &Asterisk, subject: &str) -> Running {
    let mut phone = Phone::of("1001", asterisk).commanded().start();
    // Asked before the registration stands: it waits for that.
    phone.tell(&format!("subscribe {subject}"));
    phone.registered().await;
    phone
}

/// The identity of the only message in a mailbox.
fn message_of(asterisk: &Asterisk, mailbox: &str) -> String {
    let inbox = format!("spool/voicemail/default/{mailbox}/INBOX/msg0000.txt");
    let told = std::fs::read_to_string(asterisk.folder().join(&inbox));
    let told = told.unwrap_or_else(|error| panic!("{inbox}: {error}"));
    let mut lines = told.lines();
    let id = lines.find_map(|line| line.strip_prefix("msg_id="));
    id.unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[tokio::test]
async fn a_message_that_is_left_lights_the_lamp_until_it_is_deleted() {
    let asterisk = Asterisk::start(Settings {
        voicemail: true,
        ..Settings::default()
    })
    .await;
    let mut phone = watching(&asterisk, "voicemail").await;
    phone
        .event_where("voicemail", |event| event["waiting"] == false)
        .await;
    let folder = folder();
    let voice = Voice::new(&folder, "caller", 440.0);
    let mut caller = Phone::of("1002", &asterisk)
        .codecs("pcmu")
        .speaking(&voice.spoken, &voice.heard)
        .commanded()
        .start();
    caller.registered().await;
    caller.tell("dial 7001001");
    caller.event("answered").await;
    voice.grows_to(2.0).await;
    caller.tell("hangup");
    let lit = phone
        .event_where("voicemail", |event| event["waiting"] == true)
        .await;
    assert_eq!((&lit["new"], &lit["old"]), (&1.into(), &0.into()), "{lit}");
    let message = message_of(&asterisk, "1001");
    let done = asterisk
        .rx(&format!("voicemail remove 1001 default INBOX {message}"))
        .await;
    rollcall_e2e::eventually("the lamp is out", PROMPTLY, async || {
        let events = phone.program.events();
        let lamp = events.iter().rfind(|event| event["event"] == "voicemail");
        match lamp {
            Some(out) if out["waiting"] == false && out["new"] == 0 => Ok(()),
            other => Err(format!("{other:?}; Asterisk: {done}")),
        }
    })
    .await;
    phone.tell("unsubscribe voicemail");
    let ended = phone.event("subscription_ended").await;
    assert_eq!(ended["subject"], "voicemail", "{ended}");
    assert!(ended["sip_code"].is_null(), "{ended}");
    assert!(phone.program.terminate().await.success());
}

#[tokio::test]
async fn a_speed_dial_shows_whether_its_line_is_idle_ringing_or_busy() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let mut watched = Phone::of("1002", &asterisk).commanded().start();
    watched.registered().await;
    let mut phone = watching(&asterisk, "1002").await;
    let shows = async |phone: &Running, activity: &str| {
        let is_it = |event: &serde_json::Value| event["activity"] == activity;
        let told = phone.event_where("presence", is_it).await;
        assert_eq!(told["target"], "1002", "{told}");
    };
    shows(&phone, "idle").await;
    let mut caller = Phone::of("1003", &asterisk).commanded().start();
    caller.registered().await;
    caller.tell("dial 1002");
    shows(&phone, "ringing").await;
    // Told before a command can mean the call.
    watched.event("incoming").await;
    watched.tell("answer");
    shows(&phone, "busy").await;
    let before = phone.count("presence");
    caller.tell("hangup");
    rollcall_e2e::eventually("the line is shown as idle again", PROMPTLY, async || {
        let events = phone.program.events();
        let news = events.iter().filter(|event| event["event"] == "presence");
        match news.skip(before).last() {
            Some(last) if last["activity"] == "idle" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    phone.tell("quit");
    phone.event("subscription_ended").await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_said_so() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let mut phone = watching(&asterisk, "4711").await;
    let refused = phone.event("subscription_ended").await;
    assert_eq!(refused["sip_code"], 404, "{refused}");
    let words = refused["message"].as_str().unwrap_or_default();
    assert!(words.contains("4711"), "{refused}");
    phone.tell("quit");
    phone.event("stopped").await;
}
