//! What the core asks of Asterisk in single actions: qualify, drain, restore, maintenance, hang-up.

use rollcall_alignment::{Ask, DRAIN_REASON, Membership};
use rollcall_ami::{Action, ActionError, Client, FieldError};

/// Makes one repair. That it worked is seen in Asterisk's events and lists, never taken for granted.
pub(super) async fn carry_out(client: Client, ask: Ask) {
    let actions = match actions(&ask) {
        Ok(actions) => actions,
        Err(error) => {
            tracing::warn!(?ask, %error, "a repair cannot be asked of Asterisk");
            return;
        }
    };
    for action in actions {
        let name = action.name().to_owned();
        match client.action(action).await {
            Ok(_) => tracing::debug!(action = name, "Asterisk took a repair"),
            // A member of no queue is none to be paused; before 22.10 there is no maintenance.
            Err(ActionError::Refused { message }) => {
                tracing::debug!(action = name, message, "Asterisk refused a repair");
            }
            Err(error) => tracing::warn!(action = name, %error, "Asterisk did not take a repair"),
        }
    }
}

/// The actions that a repair takes; none where it is not made of single actions.
///
/// # Errors
/// A value that does not fit into an action.
pub fn actions(ask: &Ask) -> Result<Vec<Action>, FieldError> {
    Ok(match ask {
        Ask::Qualify { endpoint } => vec![Action::qualify(endpoint.as_str())?],
        Ask::Drain { endpoint, reason } => {
            let reason = format!("{DRAIN_REASON}{}", reason.as_str());
            let interface = interface(endpoint);
            vec![Action::queue_pause(&interface, true, None, Some(&reason))?]
        }
        Ask::Undrain { endpoint } => {
            vec![Action::queue_pause(
                &interface(endpoint),
                false,
                None,
                None,
            )?]
        }
        Ask::Restore(membership) => restore(membership)?,
        Ask::Maintenance { endpoint, on } => {
            vec![Action::set_maintenance(endpoint.as_str(), *on)?]
        }
        Ask::HangUp { unique_id } => vec![Action::hangup(unique_id)?],
        Ask::Resync { .. } | Ask::Evict { .. } | Ask::Reregister { .. } => Vec::new(),
    })
}

/// The member may be there still, without its pause: adding it again is then refused, and harmless.
fn restore(membership: &Membership) -> Result<Vec<Action>, FieldError> {
    let interface = interface(&membership.endpoint);
    let queue = membership.queue.as_str();
    let mut actions = vec![Action::queue_add(queue, &interface)?];
    if membership.paused {
        let reason = membership.reason.as_str();
        actions.push(Action::queue_pause(
            &interface,
            true,
            Some(queue),
            Some(reason),
        )?);
    }
    Ok(actions)
}

fn interface(endpoint: &rollcall_alignment::Extension) -> String {
    format!("PJSIP/{endpoint}")
}
