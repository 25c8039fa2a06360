//! What an Opus packet carries beside its own sound, read without a decoder (RFC 6716 section 3).

/// The kinds of redundancy in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Redundancy {
    /// A coarse copy of the frame before (LBRR, RFC 6716 section 4.2.4).
    pub(super) inband: bool,
    /// Deep redundancy (DRED), an extension in the padding.
    pub(super) deep: bool,
}

/// Look for both kinds. Whatever the bytes are, the worst is a wrong answer.
pub(super) fn redundancy(payload: &[u8]) -> Redundancy {
    let Some((toc, rest)) = payload.split_first() else {
        return Redundancy::default();
    };
    let Some(Parts { frames, padding }) = parts(toc & 0x03, rest) else {
        return Redundancy::default();
    };
    Redundancy {
        inband: frames.first().is_some_and(|first| lbrr(*toc, *first)),
        deep: extends_by_dred(padding),
    }
}

/// Whether a voice is in the packet, as the encoder judged it; one that goes silent (DTX) does so behind packets without.
/// `None` where the mode tells nothing of it.
pub(super) fn is_voiced(payload: &[u8]) -> Option<bool> {
    let (toc, rest) = payload.split_first()?;
    if toc & 0x80 != 0 {
        return None;
    }
    let Some(first) = parts(toc & 0x03, rest)?.frames.first() else {
        return Some(false);
    };
    Some(first >> (8 - silk_frames(*toc)) != 0)
}

/// A packet behind its first byte.
struct Parts<'a> {
    /// From the first frame on.
    frames: &'a [u8],
    padding: &'a [u8],
}

/// Find frames and padding of a packet with this frame count code.
fn parts(code: u8, rest: &[u8]) -> Option<Parts<'_>> {
    let padding: &[u8] = &[];
    let frames = match code {
        0 | 1 => rest,
        2 => rest.get(length_bytes(rest)?..)?,
        _ => return counted_parts(rest),
    };
    Some(Parts { frames, padding })
}

/// Code 3: a byte with the count, the padding's length, then the frames' lengths if they differ.
fn counted_parts(rest: &[u8]) -> Option<Parts<'_>> {
    let (count, mut rest) = rest.split_first()?;
    let mut padding = 0;
    if count & 0x40 != 0 {
        loop {
            let (more, behind) = rest.split_first()?;
            rest = behind;
            padding += usize::from(*more).min(254);
            if *more < 255 {
                break;
            }
        }
    }
    let (mut frames, padding) = rest.split_at_checked(rest.len().checked_sub(padding)?)?;
    if count & 0x80 != 0 {
        for _ in 1..count & 0x3f {
            frames = frames.get(length_bytes(frames)?..)?;
        }
    }
    Some(Parts { frames, padding })
}

/// How many bytes a frame's length takes (RFC 6716 section 3.2.1).
fn length_bytes(bytes: &[u8]) -> Option<usize> {
    bytes.first().map(|first| 1 + usize::from(*first >= 252))
}

/// The flag behind the voice-activity flags of the first SILK frame.
fn lbrr(toc: u8, first: u8) -> bool {
    let celt_only = toc & 0x80 != 0;
    let stereo = toc & 0x04 != 0;
    let silk_frames = silk_frames(toc);
    let mid = first >> (7 - silk_frames) & 1 == 1;
    !celt_only && (mid || (stereo && silk_frames == 1 && first >> 4 & 1 == 1))
}

/// How many SILK frames of a channel one Opus frame holds: 10, 20, 40, 60 ms of SILK; 10, 20 of hybrid.
fn silk_frames(toc: u8) -> u8 {
    match (toc >> 3 & 0x1f, toc >> 3 & 0x03) {
        (12.., _) | (_, 0 | 1) => 1,
        (_, frames) => frames,
    }
}

/// Walk the extensions in the padding: an identifier of seven bits and a flag, then the content.
fn extends_by_dred(mut padding: &[u8]) -> bool {
    while let Some((head, rest)) = padding.split_first() {
        let (id, flag) = (head >> 1, head & 1);
        padding = match (id, flag) {
            (DRED, _) => return true,
            // One byte of padding, a frame separator, a repetition; the rest of it.
            (0, 1) | (1, 0) | (2, _) => rest,
            (1..32, _) => rest.get(usize::from(flag)..).unwrap_or_default(),
            (0, _) | (_, 0) => &[],
            (_, _) => behind_long(rest).unwrap_or_default(),
        };
    }
    false
}

/// Skip an extension whose length is said in bytes of up to 255.
fn behind_long(mut rest: &[u8]) -> Option<&[u8]> {
    let mut length = 0;
    loop {
        let (more, behind) = rest.split_first()?;
        rest = behind;
        length += usize::from(*more);
        if *more < 255 {
            return rest.get(length..);
        }
    }
}

/// The identifier of libopus 1.6, as long as the extension has none by a standard.
const DRED: u8 = 126;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dred_is_found_behind_other_extensions() {
        // Code 3, one frame, 9 bytes of padding: fill, a short one, a long one, DRED to the end.
        let mut packet = vec![0x4b, 0x41, 10];
        packet.extend([0x00; 20]);
        packet.extend([0x01, 0x07, 0xaa, 0x51, 0x02, 1, 2, 0xfc, b'D', 12]);
        assert!(redundancy(&packet).deep);
        let without = packet.len() - 3;
        packet[without] = 0x50;
        assert!(!redundancy(&packet).deep);
    }

    #[test]
    fn the_flag_of_in_band_fec_stands_behind_those_of_voice_activity() {
        // 20 ms wide-band SILK, then 60 ms, then CELT.
        assert!(redundancy(&[0x48, 0b0100_0000]).inband);
        assert!(!redundancy(&[0x48, 0b1000_0000]).inband);
        assert!(redundancy(&[0x58, 0b0001_0000]).inband);
        assert!(!redundancy(&[0xf8, 0b0100_0000]).inband);
    }

    #[test]
    fn a_voice_is_told_by_the_first_flags() {
        assert_eq!(is_voiced(&[0x48, 0b1000_0000]), Some(true));
        assert_eq!(is_voiced(&[0x48, 0b0111_1111]), Some(false));
        assert_eq!(is_voiced(&[0x58, 0b0010_0000]), Some(true));
        assert_eq!(is_voiced(&[0x58, 0b0001_0000]), Some(false));
        assert_eq!(is_voiced(&[0x48]), Some(false), "nothing but a pause");
        assert_eq!(is_voiced(&[0xf8, 0xff]), None);
    }

    proptest! {
        #![proptest_config(crate::repeatable(2_000))]

        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..40), toc in 0u8..4
        ) {
            redundancy(&bytes);
            is_voiced(&bytes);
            redundancy(&[vec![toc | 0x48], bytes.clone()].concat());
            is_voiced(&[vec![toc | 0x58], bytes].concat());
        }
    }
}
