//! The manager account that suffices for what is asked and heard here, in Asterisk's own words for classes. Whoever
//! documents it, tests it or looks at one takes it from here.

/// `read=`: `system` carries contacts, `call` device states and channels, `agent` queue members and their pauses.
pub const READ: [&str; 3] = ["system", "call", "agent"];

/// `write=`: what [`ACTIONS`] need.
pub const WRITE: [&str; 3] = ["system", "agent", "reporting"];

/// Every action that needs a class, and the class of [`WRITE`] that opens it. The others (`Ping`, `QueueStatus`,
/// `ListCommands`) are open to any account.
pub const ACTIONS: [(&str, &str); 14] = [
    ("CoreSettings", "system"),
    ("CoreShowChannels", "system"),
    ("DBGet", "system"),
    ("DBPut", "system"),
    ("DeviceStateList", "reporting"),
    ("GetConfig", "system"),
    ("Hangup", "system"),
    ("PJSIPQualify", "system"),
    ("PJSIPSetMaintenance", "system"),
    ("PJSIPShowAors", "system"),
    ("PJSIPShowContacts", "system"),
    ("QueueAdd", "agent"),
    ("QueuePause", "agent"),
    ("Reload", "system"),
];

/// The class that an action needs, if any.
#[must_use]
pub fn class_of(action: &str) -> Option<&'static str> {
    let found = ACTIONS.iter().find(|(name, _)| *name == action);
    found.map(|(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_granted_for_an_action_and_every_action_has_its_class() {
        for class in WRITE {
            assert!(
                ACTIONS.iter().any(|(_, needed)| *needed == class),
                "{class}"
            );
        }
        for (action, class) in ACTIONS {
            assert!(WRITE.contains(&class), "{action}");
            assert_eq!(class_of(action), Some(class));
        }
        assert_eq!(class_of("Ping"), None);
    }
}
