//! A private Asterisk for use by hand: starts one as the tests do, says how to reach it, and waits for Ctrl-C.

use rollcall_e2e::Asterisk;
use rollcall_e2e::asterisk::Settings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut asterisk = Asterisk::start(Settings {
        qualify_frequency: 10,
        ..Settings::default()
    })
    .await;
    println!(
        "Asterisk 22 runs. SIP (UDP, TCP) {}, AMI 127.0.0.1:{}, HTTP 127.0.0.1:{}",
        asterisk.sip(),
        asterisk.ami_port(),
        asterisk.http_port()
    );
    for person in &asterisk.settings().people {
        println!(
            "  extension {} password {}",
            person.extension, person.password
        );
    }
    let (name, secret) = &asterisk.settings().manager;
    println!("  manager {name} secret {secret}; 600 is an echo, 601 a tone");
    println!("  configuration and logs: {}", asterisk.folder().display());
    println!("  console: {}\nCtrl-C ends it.", asterisk.console());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended?,
        _ = terminate.recv() => {}
    }
    asterisk.stop().await;
    Ok(())
}
