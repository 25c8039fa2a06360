//! Phones behind Kamailio 5.6: a registrar that can be reached through a proxy at the edge only (Path), and calls that go
//! through both (Record-Route).

use rollcall_e2e::baresip::Codec;
use rollcall_e2e::kamailio::PASSWORD;
use rollcall_e2e::phone::{Phone, Running};
use rollcall_e2e::sound::{Heard, Voice, folder};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Baresip, Kamailio, eventually};

async fn registered(kamailio: &Kamailio, extension: &str) -> Running {
    let phone = Phone::at(extension, &kamailio.sip(), PASSWORD)
        .commanded()
        .start();
    phone.registered().await;
    phone
}

#[tokio::test]
async fn phones_behind_two_proxies_call_hold_and_hang_up_either_way() {
    let kamailio = Kamailio::start().await;
    let mut first = registered(&kamailio, "1001").await;
    let mut second = registered(&kamailio, "1002").await;
    for calls in 1..=2 {
        let (calling, called) = match calls {
            1 => (&mut first, &mut second),
            _ => (&mut second, &mut first),
        };
        let (before, met) = (called.count("incoming"), calling.count("ended"));
        calling.tell(match calls {
            1 => "dial 1002",
            _ => "dial 1001",
        });
        reaches(called, "incoming", before + 1).await;
        called.tell("answer");
        reaches(calling, "answered", calls).await;
        for held in [true, false] {
            called.tell(if held { "hold" } else { "resume" });
            called
                .event_where("held", |event| event["held"] == held)
                .await;
            calling
                .event_where("held_by_other", |event| event["held"] == held)
                .await;
        }
        called.tell("hangup");
        reaches(calling, "ended", met + 1).await;
    }
    for mut phone in [first, second] {
        let ends = phone.program.events();
        let mut ends = ends.iter().filter(|event| event["event"] == "ended");
        assert!(ends.all(|end| end["sip_code"].is_null()));
        assert!(phone.program.terminate().await.success());
    }
    assert_eq!(kamailio.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_proxy_refuses_is_told_and_a_caller_may_give_up() {
    let kamailio = Kamailio::start().await;
    let mut calling = registered(&kamailio, "1001").await;
    calling.tell("dial 4711");
    let ended = calling.event("ended").await;
    assert_eq!(
        (&ended["reason"], &ended["sip_code"]),
        (&"not_found".into(), &404.into()),
        "{ended}"
    );
    let called = registered(&kamailio, "1002").await;
    calling.tell("dial 1002");
    calling.event("ringing").await;
    calling.tell("hangup");
    let missed = called.event("ended").await;
    assert_eq!(missed["reason"], "missed", "{missed}");
    let stranger = Phone::at("1003", &kamailio.sip(), "wrong").start();
    let failed = stranger.event("registration_failed").await;
    assert_eq!(failed["code"], "wrong_credentials", "{failed}");
}

/// Debian's Asterisk knows no AES-GCM; between phones that nothing in between decrypts for, the first of our offer is taken.
#[tokio::test]
async fn baresip_and_we_hear_each_other_encrypted_with_aes_gcm() {
    let (kamailio, folder) = (Kamailio::start().await, folder());
    let ours = Voice::new(&folder, "ours", 440.0);
    let theirs = Voice::sampled(&folder, "theirs", 660.0, Codec::Pcmu.rate());
    let registrar = kamailio.registrar();
    let mut baresip = Baresip::at("1003", &registrar, PASSWORD, Codec::Pcmu, &theirs.spoken)
        .encrypting()
        .answering()
        .start()
        .await;
    let mut phone = Phone::at("1001", &kamailio.sip(), PASSWORD)
        .codecs("pcmu")
        .encrypting("required")
        .speaking(&ours.spoken, &ours.heard)
        .dialling("1003")
        .start();
    phone.event("answered").await;
    ours.grows_to(3.0).await;
    baresip.command("hangup", "").await;
    phone.event("ended").await;
    let record = phone.event("quality").await;
    assert_eq!(record["encrypted"], true, "{record}");
    assert!(phone.program.terminate().await.success());
    ours.recorded().is_a_tone_of(660.0, 0.05);
    Heard::in_file(&baresip.heard().await).is_a_tone_of(440.0, 0.05);
    let said = baresip.program.lines().concat() + &baresip.program.complaints().concat();
    assert!(said.contains("cryptosuite=AEAD_AES_256_GCM"), "{said}");
}

async fn reaches(phone: &Running, event: &str, times: usize) {
    eventually(event, PROMPTLY, async || match phone.count(event) {
        count if count >= times => Ok(()),
        count => Err(format!("{count} of {times}")),
    })
    .await;
}
