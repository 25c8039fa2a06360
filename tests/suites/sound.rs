//! Real sound: a tone goes into a microphone, through an echo call on Asterisk 22, and comes back at the loudspeaker.
//! And what becomes of a call, and of an agent's state, when devices are missing, vanish or hang.

use std::time::Duration;

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::board::reasons;
use rollcall_e2e::desktop::Desktop;
use rollcall_e2e::phone::{Phone, Running};
use rollcall_e2e::pulse::Formats;
use rollcall_e2e::server::SUPERVISOR;
use rollcall_e2e::sound::{Recording, Voice, folder};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Agent, Asterisk, Program, Pulse, Server, eventually, surroundings};
use serde_json::Value;

/// How far the level may be off: codecs and resamplers change it a little.
const TOLERANCE: f64 = 0.15;
/// A sound server that hangs is noticed after three seconds, and then asked for up to eight.
const SLOWLY: Duration = Duration::from_secs(40);

#[tokio::test]
async fn a_tone_spoken_into_the_microphone_comes_back_at_the_loudspeaker() {
    let (asterisk, pulse) = stage().await;
    let phone = Phone::of("1001", &asterisk)
        .through(&pulse)
        .dialling("600")
        .start();
    works(&phone).await;
    phone.event("answered").await;
    echoes(&pulse, "phone", 440.0).await;
}

#[tokio::test]
async fn devices_with_odd_formats_sound_the_same() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let pulse = Pulse::with(Formats {
        speaker: "rate=44100 channels=6 format=s24le",
        microphone: "rate=22050 channels=2 format=u8",
    })
    .await;
    let phone = Phone::of("1001", &asterisk)
        .through(&pulse)
        .dialling("600")
        .start();
    works(&phone).await;
    phone.event("answered").await;
    echoes(&pulse, "odd-formats", 660.0).await;
}

#[tokio::test]
async fn a_signed_in_agent_without_a_window_speaks_and_hears_through_the_devices() {
    let (asterisk, pulse) = stage().await;
    let server = Server::start(&asterisk).await;
    let agent = Agent::new("1001")
        .through(&pulse)
        .with(["--dial", "600"])
        .start(&server);
    call_is_active(&agent).await;
    echoes(&pulse, "agent", 880.0).await;
}

#[tokio::test]
async fn the_app_speaks_and_hears_through_the_devices_and_says_when_they_are_gone() {
    let (asterisk, mut pulse) = stage().await;
    let server = Server::start(&asterisk).await;
    let app = Desktop::open_through(&server, &pulse).await;
    app.sign_in("1001", &Server::password("1001")).await;
    app.own_state("Available").await;
    app.type_into("//form[@aria-label='Dial']//input", "600")
        .await;
    app.click("//form[@aria-label='Dial']//button[@type='submit']")
        .await;
    app.sees(CALL).await;
    echoes(&pulse, "app", 1000.0).await;

    pulse.kill();
    app.sees(&format!("{NOTICES}[contains(., 'icrophone')]"))
        .await;
    app.sees(CALL).await;
    app.picture("app-sound-gone").await;

    pulse.boot().await;
    eventually("the notice goes", SLOWLY, async || {
        let page = app.page().await;
        match page.contains("Plug in a headset") {
            true => Err("the page still asks for a headset".to_owned()),
            false => Ok(()),
        }
    })
    .await;
    app.sees(CALL).await;
    echoes(&pulse, "app-again", 500.0).await;
}

#[tokio::test]
async fn a_call_outlives_the_sound_server_and_sound_comes_back_with_it() {
    let (asterisk, mut pulse) = stage().await;
    let phone = Phone::of("1001", &asterisk)
        .through(&pulse)
        .dialling("600")
        .start();
    works(&phone).await;
    phone.event("answered").await;
    pulse.kill();
    problem(&phone, "device_vanished").await;
    problem(&phone, "no_audio_device").await;
    let ready_before = readiness(&phone).len();
    pulse.boot().await;
    works_again(&phone, ready_before).await;
    echoes(&pulse, "again", 440.0).await;
    goes_on(&phone, &asterisk).await;
}

#[tokio::test]
async fn a_call_outlives_a_sound_server_that_hangs() {
    let (asterisk, pulse) = stage().await;
    let phone = Phone::of("1001", &asterisk)
        .through(&pulse)
        .dialling("600")
        .start();
    works(&phone).await;
    phone.event("answered").await;
    pulse.freeze();
    problem(&phone, "device_vanished").await;
    let ready_before = readiness(&phone).len();
    pulse.thaw();
    works_again(&phone, ready_before).await;
    goes_on(&phone, &asterisk).await;
}

#[tokio::test]
async fn a_microphone_that_is_pulled_out_is_not_replaced_by_what_the_loudspeaker_plays() {
    let (asterisk, pulse) = stage().await;
    let phone = Phone::of("1001", &asterisk).through(&pulse).start();
    works(&phone).await;
    phone.registered().await;
    qualified(&asterisk, "Avail").await;

    pulse.unplug_microphone().await;
    let gone = problem(&phone, "no_audio_device").await;
    let words = gone["message"].as_str().unwrap_or_default();
    assert!(
        words.contains("no microphone") && !words.contains("no loudspeaker"),
        "{gone}"
    );
    qualified(&asterisk, "Unavail").await;

    let ready_before = readiness(&phone).len();
    pulse.plug_microphone_in().await;
    works_again(&phone, ready_before).await;
    qualified(&asterisk, "Avail").await;
}

#[tokio::test]
async fn a_phone_on_a_machine_without_sound_says_so_answers_480_and_still_talks() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let phone = Phone::of("1001", &asterisk)
        .without_sound_devices()
        .dialling("600")
        .start();
    let gone = problem(&phone, "no_audio_device").await;
    let words = gone["message"].as_str().unwrap_or_default();
    assert!(words.contains("no microphone and no loudspeaker"), "{gone}");
    phone.event("answered").await;
    qualified(&asterisk, "Unavail").await;
    goes_on(&phone, &asterisk).await;
}

#[tokio::test]
async fn an_agent_whose_sound_is_gone_is_not_available_until_it_is_back() {
    let (asterisk, mut pulse) = stage().await;
    let server = Server::start(&asterisk).await;
    let board = server.board(SUPERVISOR).await;
    let agent = Agent::new("1001").through(&pulse).start(&server);
    board.shows("1001", "Available", PROMPTLY).await;

    pulse.kill();
    let drained = |agent: &Value| {
        agent["status"] == "NotAvailable" && reasons(agent).contains(&"no_audio_device")
    };
    board
        .shows_where("1001", "drained for want of sound", PROMPTLY, drained)
        .await;
    qualified(&asterisk, "Unavail").await;

    pulse.boot().await;
    board.shows("1001", "Available", SLOWLY).await;
    assert!(!format!("{agent:?}").contains("panicked"));
}

const CALL: &str = "//*[@data-testid='call-card'][@data-call-state='active']";
const NOTICES: &str = "//section[@aria-label='Notices']";

async fn stage() -> (Asterisk, Pulse) {
    let asterisk = Asterisk::start(Settings::default()).await;
    (asterisk, Pulse::start().await)
}

/// Speaks a tone into the microphone, and judges what the loudspeaker plays meanwhile.
///
/// On a busy machine samples are dropped now and then; a stretch of four seconds is looked for in which few were.
/// The recording is kept among the artefacts by its `name`.
async fn echoes(pulse: &Pulse, name: &str, hertz: f64) {
    let folder = folder();
    let voice = Voice::new(&folder, "echo", hertz);
    let heard = surroundings::artifacts().join(format!("sound-{name}.wav"));
    let what = format!("{hertz} Hz come back");
    eventually(&what, SLOWLY, async || {
        let _ = std::fs::remove_file(&heard);
        let _speaking = pulse.speak(&voice.spoken);
        pulse.listen(&heard, 4.0).await;
        match Recording::read(&heard).tone(hertz) {
            tone if tone.came_through(1.5, TOLERANCE) => Ok(()),
            tone => Err(format!("{tone:?}")),
        }
    })
    .await;
}

/// Waits until samples flow on both sides.
async fn works(phone: &Running) {
    works_again(phone, 0).await;
}

/// As [`works`], leaving out the first `before` words about it.
async fn works_again(phone: &Running, before: usize) {
    eventually("sound works both ways", SLOWLY, async || {
        let said = readiness(phone);
        match said.iter().skip(before).any(|both| *both) {
            true => Ok(()),
            false => Err(format!("{said:?}")),
        }
    })
    .await;
}

/// What the phone has said of its devices: whether both sides work.
fn readiness(phone: &Running) -> Vec<bool> {
    let events = phone.program.events();
    let said = events
        .iter()
        .filter(|event| event["event"] == "audio_ready");
    said.map(|event| event["microphone"] == true && event["speaker"] == true)
        .collect()
}

async fn problem(phone: &Running, code: &str) -> Value {
    let wanted = |event: &Value| {
        (event["event"] == "audio_problem" && event["code"] == code).then(|| event.clone())
    };
    phone.program.event(code, wanted).await
}

async fn call_is_active(agent: &Program) {
    let active = |event: &Value| {
        let words = event.to_string();
        (words.contains("\"active\"") || words.contains("answered")).then_some(())
    };
    agent.event("the call is answered", active).await;
}

/// The call has not ended, here or at Asterisk.
async fn goes_on(phone: &Running, asterisk: &Asterisk) {
    let ended = phone.program.events();
    let ended = ended.iter().find(|event| event["event"] == "ended");
    assert!(ended.is_none(), "{ended:?}");
    let channels = asterisk.rx("core show channels").await;
    assert!(channels.contains("1 active call"), "{channels}");
}

/// Waits for what Asterisk's OPTIONS find.
async fn qualified(asterisk: &Asterisk, status: &str) {
    eventually(
        &format!("the contact is {status}"),
        PROMPTLY,
        async || match asterisk.contacts("1001").await {
            listed if listed.len() == 1 && listed[0].status == status => Ok(()),
            listed => Err(format!("{listed:?}")),
        },
    )
    .await;
}
