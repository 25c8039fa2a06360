//! Why calls end: Q.850 causes as Asterisk numbers them, and what each side is told of them.

use rollcall_sip::EndReason;

pub(super) const UNKNOWN: u16 = 0;
pub(super) const NORMAL_CLEARING: u16 = 16;
pub(super) const BUSY: u16 = 17;
pub(super) const NO_ANSWER: u16 = 19;
pub(super) const SUBSCRIBER_ABSENT: u16 = 20;
pub(super) const REJECTED: u16 = 21;
pub(super) const ANSWERED_ELSEWHERE: u16 = 26;
pub(super) const CONGESTION: u16 = 34;
pub(super) const BEARER_CAPABILITY: u16 = 58;
pub(super) const INTERWORKING: u16 = 127;

/// The cause that Asterisk makes of the end of a called leg.
pub(super) fn cause_of(reason: &EndReason) -> u16 {
    match reason {
        EndReason::Refused { code, .. } => match code {
            486 | 600 => BUSY,
            401 | 403 | 407 | 603 => REJECTED,
            408 | 480 => NO_ANSWER,
            488 | 606 => BEARER_CAPABILITY,
            503 => CONGESTION,
            _ => INTERWORKING,
        },
        EndReason::TimedOut | EndReason::Unreachable => NO_ANSWER,
        _ => NORMAL_CLEARING,
    }
}

pub(super) fn dial_status(why: u16) -> &'static str {
    match why {
        BUSY => "BUSY",
        NO_ANSWER | REJECTED => "NOANSWER",
        _ => "CONGESTION",
    }
}

/// Of two devices' reasons the one that says more to the caller: busy, then rejected, then the rest.
pub(super) fn more_telling(old: u16, new: u16) -> u16 {
    let rank = |why| match why {
        BUSY => 3,
        REJECTED => 2,
        UNKNOWN => 0,
        _ => 1,
    };
    if rank(new) > rank(old) { new } else { old }
}

/// What the caller is answered.
pub(super) fn response_code(why: u16) -> u16 {
    match why {
        BUSY => 486,
        REJECTED => 403,
        BEARER_CAPABILITY => 488,
        CONGESTION => 503,
        _ => 480,
    }
}

pub(super) fn cause_text(why: u16) -> &'static str {
    match why {
        NORMAL_CLEARING => "Normal Clearing",
        BUSY => "User busy",
        NO_ANSWER => "User alerting, no answer",
        SUBSCRIBER_ABSENT => "Subscriber absent",
        REJECTED => "Call Rejected",
        ANSWERED_ELSEWHERE => "Answered elsewhere",
        CONGESTION => "Circuit/channel congestion",
        BEARER_CAPABILITY => "Bearer capability not available",
        INTERWORKING => "Interworking, unspecified",
        _ => "Unknown",
    }
}
