//! What Asterisk reads of phones: rows of its own tables.

use std::sync::Arc;

use super::*;
use crate::{
    config::{Devices, Mode},
    provision::Endpoint,
};

pub(super) async fn an_extension_has_as_many_contacts_as_the_policy_for_devices_and_keeps_what_was_changed_else(
    scene: Scene,
) {
    let scene = scene
        .reopened(|config| {
            config.mode = Mode::Shared;
            config.provision.realtime = true;
            config.provision.max_contacts = 7;
        })
        .await;
    let provision = async |devices: Devices| {
        let mut config = scene.config.clone();
        config.alignment.devices = devices;
        let endpoint = Endpoint {
            extension: "1001".into(),
            password: "the-phone-password".into(),
            settings: Arc::new(config.phones()),
        };
        scene.commit(vec![Write::Provision(endpoint)]).await;
        scene.count("SELECT max_contacts FROM ps_aors").await
    };
    assert_eq!(provision(Devices::Single).await, 2);
    let change = "UPDATE ps_aors SET qualify_frequency = 33";
    scene.raw().await.run(change).await.unwrap();
    assert_eq!(provision(Devices::Multi).await, 7);
    assert_eq!(provision(Devices::Takeover).await, 2);
    let kept = "SELECT qualify_frequency FROM ps_aors";
    assert_eq!(scene.count(kept).await, 33);
}
