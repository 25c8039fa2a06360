//! Octets that are not UTF-8, carried through text and back without loss.
//!
//! RFC 3261 wants UTF-8 (section 7.3.1), old devices send Latin-1. rsip's headers are Rust strings, so each octet
//! that belongs to no UTF-8 sequence is carried as one of the last 128 code points of the last private plane, which
//! nobody uses, and leaves as the octet it was. What a person is to read goes through [`readable`].

use std::borrow::Cow;

/// Stands for octet 0x80; the following 127 code points for the following octets.
const FIRST: u32 = 0x0010_ff80;

/// Text of any octets.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(stands_for_octet) => Cow::Borrowed(text),
        _ => Cow::Owned(decode_slowly(bytes)),
    }
}

/// Appends the octets of a text that [`decode`] made, control characters outside quoted pairs as blanks: a line break
/// in a value would start a header of its own.
pub(crate) fn encode(text: &str, out: &mut Vec<u8>) {
    let is_plain = |b: u8| !b.is_ascii_control() && b != 0xf4;
    if text.bytes().all(is_plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    let mut before = ' ';
    for c in text.chars() {
        match octet(c) {
            Some(octet) => out.push(octet),
            None if c.is_ascii_control() && !may_follow(before, c) => out.push(b' '),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        before = c;
    }
}

/// Whether a control character may stand behind another character: all but line breaks in a quoted pair (RFC 3261
/// section 25.1).
pub(super) fn may_follow(before: char, control: char) -> bool {
    before == '\\' && !matches!(control, '\r' | '\n')
}

/// The same for a person: stray octets are taken for Latin-1, which is what sends them.
pub(crate) fn readable(text: &str) -> Cow<'_, str> {
    match text.contains(stands_for_octet) {
        true => text
            .chars()
            .map(|c| octet(c).map_or(c, char::from))
            .collect(),
        false => Cow::Borrowed(text),
    }
}

fn decode_slowly(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    let carry = |octets: &[u8], text: &mut String| {
        let carried = octets.iter().filter(|octet| **octet >= 0x80);
        text.extend(carried.filter_map(|octet| char::from_u32(FIRST + u32::from(octet - 0x80))));
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // Real text from that plane is carried octet by octet too, or it would leave as something else.
            match stands_for_octet(c) {
                true => carry(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut text),
                false => text.push(c),
            }
        }
        carry(chunk.invalid(), &mut text);
    }
    text
}

fn stands_for_octet(c: char) -> bool {
    u32::from(c) >= FIRST
}

fn octet(c: char) -> Option<u8> {
    let offset = u32::from(c).checked_sub(FIRST)?;
    u8::try_from(offset).ok().map(|offset| offset | 0x80)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{decode, encode, readable};

    proptest! {
        #[test]
        fn any_octets_but_controls_come_back(bytes in proptest::collection::vec(0x20u8..=0xff, 0..40)) {
            let mut back = Vec::new();
            encode(&decode(&bytes), &mut back);
            let bare = |at: usize| at == 0 || bytes[at - 1] != b'\\';
            let expected: Vec<u8> = bytes
                .iter()
                .enumerate()
                .map(|(at, b)| if *b == 0x7f && bare(at) { b' ' } else { *b })
                .collect();
            prop_assert_eq!(back, expected);
        }
    }

    #[test]
    fn latin_1_is_readable_and_utf8_is_left_alone() {
        assert_eq!(readable(&decode(b"caf\xe9")), "café");
        assert_eq!(readable(&decode("café".as_bytes())), "café");
    }

    #[test]
    fn code_points_of_the_last_plane_keep_their_own_octets() {
        let text = "a\u{10ff85}b\u{10ffff}";
        let mut back = Vec::new();
        encode(&decode(text.as_bytes()), &mut back);
        assert_eq!(back, text.as_bytes());
    }
}
