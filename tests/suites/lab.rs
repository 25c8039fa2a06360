//! The private Asterisk itself: that it is what the other suites take it for.

use rollcall_e2e::Asterisk;
use rollcall_e2e::asterisk::Settings;

#[tokio::test]
async fn a_private_asterisk_22_boots_with_what_the_product_needs() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let version = asterisk.rx("core show version").await;
    assert!(version.starts_with("Asterisk 22."), "{version}");
    for module in [
        "chan_pjsip",
        "res_pjsip_registrar",
        "codec_opus_open_source",
        "codec_ulaw",
        "app_echo",
        "res_ari",
    ] {
        let listing = asterisk.rx(&format!("module show like {module}.so")).await;
        assert!(listing.contains("Running"), "{module}: {listing}");
    }
    assert!(
        asterisk
            .rx("pjsip show endpoint 1001")
            .await
            .contains("Unavailable")
    );
    assert!(asterisk.contacts("1001").await.is_empty());
}

#[tokio::test]
async fn two_asterisks_run_side_by_side_and_one_comes_back_after_a_crash() {
    let mut one = Asterisk::start(Settings::default()).await;
    let two = Asterisk::start(Settings::default()).await;
    assert_ne!(one.sip(), two.sip());
    one.kill();
    assert!(!one.rx("core show version").await.starts_with("Asterisk"));
    one.boot().await;
    assert!(
        one.rx("core show version")
            .await
            .starts_with("Asterisk 22.")
    );
    assert!(
        two.rx("core show version")
            .await
            .starts_with("Asterisk 22.")
    );
}
