//! What the core asks of Asterisk in single actions: qualify, drain, pause, restore, maintenance, hang-up.

use rollcall_alignment::{Ask, DRAIN_REASON, Membership, QueueOrder};
use rollcall_ami::{Action, ActionError, Client, FieldError, Response};

/// Makes one repair. That it worked is seen in Asterisk's events and lists, never taken for granted.
pub(super) async fn carry_out(client: Client, ask: Ask) {
    for action in told(&ask) {
        let name = action.name().to_owned();
        log(&name, client.action(action).await);
    }
}

/// The same, sent before this returns: what is asked later is asked later of Asterisk too.
pub(super) fn carry_out_in_order(client: &Client, ask: &Ask) {
    let actions = told(ask);
    let names: Vec<_> = actions
        .iter()
        .map(|action| action.name().to_owned())
        .collect();
    let Some(responses) = client.in_order(actions) else {
        tracing::warn!(
            ?ask,
            "too much waits for Asterisk; this is asked again later"
        );
        return;
    };
    tokio::spawn(async move {
        for (name, response) in names.iter().zip(responses.await) {
            log(name, response);
        }
    });
}

fn told(ask: &Ask) -> Vec<Action> {
    actions(ask).unwrap_or_else(|error| {
        tracing::warn!(?ask, %error, "a repair cannot be asked of Asterisk");
        Vec::new()
    })
}

fn log(action: &str, response: Result<Response, ActionError>) {
    match response {
        Ok(_) => tracing::debug!(action, "Asterisk took a repair"),
        // A member of no queue is none to be paused; before 22.10 there is no maintenance.
        Err(ActionError::Refused { message }) => {
            tracing::debug!(action, message, "Asterisk refused a repair");
        }
        Err(error) => tracing::warn!(action, %error, "Asterisk did not take a repair"),
    }
}

/// The actions that a repair takes; none where it is not made of single actions.
///
/// # Errors
/// A value that does not fit into an action.
pub fn actions(ask: &Ask) -> Result<Vec<Action>, FieldError> {
    Ok(match ask {
        Ask::Qualify { endpoint } => vec![Action::qualify(endpoint.as_str())?],
        Ask::Queues { endpoint, order } => ordered(&interface(endpoint), order)?,
        Ask::Restore(membership) => restore(membership)?,
        Ask::Maintenance { endpoint, on } => {
            vec![Action::set_maintenance(endpoint.as_str(), *on)?]
        }
        Ask::HangUp { unique_id } => vec![Action::hangup(unique_id)?],
        Ask::Resync { .. } | Ask::Evict { .. } | Ask::Reregister { .. } => Vec::new(),
    })
}

fn ordered(interface: &str, order: &QueueOrder) -> Result<Vec<Action>, FieldError> {
    let pause = |reason: &str| Action::queue_pause(interface, true, None, Some(reason));
    match order {
        QueueOrder::Drain { reason } => {
            let reason = format!("{DRAIN_REASON}{}", reason.as_str());
            Ok(vec![pause(&reason)?])
        }
        QueueOrder::Pause { reason } => Ok(vec![pause(reason.as_str())?]),
        // Others may have paused it in other queues: those pauses are theirs.
        QueueOrder::Unpause { queues } => queues
            .iter()
            .map(|queue| Action::queue_pause(interface, false, Some(queue), None))
            .collect(),
    }
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
