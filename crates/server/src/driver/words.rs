//! The core's words in the wire's, and for people.

use rollcall_alignment::BoardStatus;
use rollcall_wire::board;

/// A state in the words of the wire.
pub(crate) fn status(status: BoardStatus) -> board::BoardStatus {
    match status {
        BoardStatus::Unknown => board::BoardStatus::Unknown,
        BoardStatus::Offline => board::BoardStatus::Offline,
        BoardStatus::LoggingOut => board::BoardStatus::LoggingOut,
        BoardStatus::OnCall => board::BoardStatus::OnCall,
        BoardStatus::Ringing => board::BoardStatus::Ringing,
        BoardStatus::WrapUp => board::BoardStatus::WrapUp,
        BoardStatus::Paused => board::BoardStatus::Paused,
        BoardStatus::NotAvailable => board::BoardStatus::NotAvailable,
        BoardStatus::Unverified => board::BoardStatus::Unverified,
        BoardStatus::Available => board::BoardStatus::Available,
    }
}

/// A clause as a sentence.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).chain(['.']).collect()
    })
}
