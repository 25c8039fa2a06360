use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

fn key(suite: Suite, seed: u64) -> MasterKey {
    MasterKey::random(suite, &mut StdRng::seed_from_u64(seed))
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let payload: Vec<u8> = (0..160).map(|n| n as u8 ^ sequence as u8).collect();
    crate::rtp::Sender::new(ssrc, sequence, u32::from(sequence) * 160)
        .write(0, &payload, &mut bytes);
    bytes
}

fn pair(suite: Suite) -> (Protector, Unprotector) {
    let key = key(suite, 3711);
    (Protector::new(&key), Unprotector::new(&key))
}

fn sealed(protector: &mut Protector, packet: &[u8]) -> Vec<u8> {
    let mut bytes = packet.to_vec();
    protector.protect(&mut bytes).unwrap();
    bytes
}

#[test]
fn what_is_protected_comes_out_again_in_every_suite_over_two_rollovers() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(suite);
        for n in 0..150_000u32 {
            let plain = rtp(7, (n + 60_000) as u16);
            // Not every packet is worth a test's time, but every number counts.
            if n % 97 != 0 && n as u16 > 50 {
                continue;
            }
            let mut packet = sealed(&mut protector, &plain);
            let overhead = packet.len() - plain.len();
            let expected = match suite {
                Suite::AesCm128HmacSha1_80 => 10,
                Suite::AesCm128HmacSha1_32 => 4,
                Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 16,
            };
            assert_eq!(overhead, expected);
            assert_ne!(
                packet[12..plain.len()],
                plain[12..],
                "{suite:?}: in the open"
            );
            unprotector.unprotect(&mut packet).unwrap();
            assert_eq!(packet, plain, "{suite:?} {n}");
        }
    }
}

#[test]
fn a_replayed_packet_is_refused_also_when_it_is_old() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(suite);
        let wire: Vec<Vec<u8>> = (0..300)
            .map(|n| sealed(&mut protector, &rtp(7, n)))
            .collect();
        for packet in &wire {
            unprotector.unprotect(&mut packet.clone()).unwrap();
        }
        for packet in &wire {
            assert_eq!(
                unprotector.unprotect(&mut packet.clone()),
                Err(Refusal::Replayed)
            );
        }
    }
}

#[test]
fn packets_that_overtake_each_other_are_all_taken() {
    let (mut protector, mut unprotector) = pair(Suite::AesCm128HmacSha1_80);
    let mut wire: Vec<Vec<u8>> = (0..500u16)
        .map(|n| sealed(&mut protector, &rtp(7, n.wrapping_add(65_300))))
        .collect();
    for some in wire.chunks_mut(50).skip(1) {
        some.reverse();
    }
    for packet in &mut wire {
        unprotector.unprotect(packet).unwrap();
    }
}

#[test]
fn one_flipped_bit_anywhere_is_refused_and_leaves_no_trace() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(suite);
        unprotector
            .unprotect(&mut sealed(&mut protector, &rtp(7, 1)))
            .unwrap();
        let good = sealed(&mut protector, &rtp(7, 2));
        for bit in 0..8 * good.len() {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(
                unprotector.unprotect(&mut bad).is_err(),
                "{suite:?} bit {bit}"
            );
        }
        unprotector.unprotect(&mut good.clone()).unwrap();
    }
}

#[test]
fn another_key_opens_nothing() {
    for suite in Suite::ALL {
        let mut protector = Protector::new(&key(suite, 1));
        let mut unprotector = Unprotector::new(&key(suite, 2));
        let mut packet = sealed(&mut protector, &rtp(7, 1));
        assert_eq!(
            unprotector.unprotect(&mut packet),
            Err(Refusal::Unauthentic)
        );
        let mut plain = rtp(7, 1);
        assert!(
            unprotector.unprotect(&mut plain).is_err(),
            "what was never sealed"
        );
    }
}

#[test]
fn a_forger_of_many_streams_makes_nothing_grow() {
    let (mut protector, mut unprotector) = pair(Suite::AesCm128HmacSha1_80);
    unprotector
        .unprotect(&mut sealed(&mut protector, &rtp(7, 1)))
        .unwrap();
    for ssrc in 0..10_000 {
        let mut forged = rtp(ssrc + 100, 1);
        assert!(unprotector.unprotect(&mut forged).is_err());
    }
    unprotector
        .unprotect(&mut sealed(&mut protector, &rtp(7, 2)))
        .unwrap();
}

#[test]
fn after_a_new_key_a_stream_may_count_on_or_begin_anew() {
    let (one, two) = (
        key(Suite::AesCm128HmacSha1_80, 1),
        key(Suite::AesCm128HmacSha1_80, 2),
    );
    let roll_over = |key: &MasterKey| {
        let mut protector = Protector::new(key);
        let mut unprotector = Unprotector::new(key);
        for n in 0..70_000u32 {
            if n % 1_000 == 0 {
                unprotector
                    .unprotect(&mut sealed(&mut protector, &rtp(7, n as u16)))
                    .unwrap();
            }
        }
        unprotector
    };
    let next = 70_000u32 as u16;
    // One that begins at nought.
    let mut unprotector = roll_over(&one).rekeyed(&two);
    let mut fresh = Protector::new(&two);
    unprotector
        .unprotect(&mut sealed(&mut fresh, &rtp(7, next)))
        .unwrap();
    // One whose counter went on.
    let mut unprotector = roll_over(&one).rekeyed(&two);
    let mut going_on = Protector::new(&two);
    sealed(&mut going_on, &rtp(7, 60_000));
    unprotector
        .unprotect(&mut sealed(&mut going_on, &rtp(7, next)))
        .unwrap();
    // Under the key before, nothing is taken any more.
    let mut old = Protector::new(&one);
    assert!(
        unprotector
            .unprotect(&mut sealed(&mut old, &rtp(7, next + 1)))
            .is_err()
    );
}

#[test]
fn reports_are_protected_with_numbers_of_their_own() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(suite);
        let plain: Vec<u8> = [0x80, 201, 0, 1, 0, 0, 0, 7, 0x81, 203, 0, 1, 0, 0, 0, 7].to_vec();
        let wire: Vec<Vec<u8>> = (0..5)
            .map(|_| {
                let mut bytes = plain.clone();
                protector.protect_rtcp(&mut bytes).unwrap();
                assert_ne!(bytes[8..16], plain[8..]);
                bytes
            })
            .collect();
        for packet in &wire {
            let mut opened = packet.clone();
            unprotector.unprotect_rtcp(&mut opened).unwrap();
            assert_eq!(opened, plain, "{suite:?}");
            let mut again = packet.clone();
            assert_eq!(
                unprotector.unprotect_rtcp(&mut again),
                Err(Refusal::Replayed)
            );
        }
        for bit in 0..8 * wire[0].len() {
            let (mut fresh, mut bad) = (Unprotector::new(&key(suite, 3711)), wire[0].clone());
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(
                fresh.unprotect_rtcp(&mut bad).is_err(),
                "{suite:?} bit {bit}"
            );
        }
        assert!(
            unprotector.unprotect_rtcp(&mut plain.clone()).is_err(),
            "in the open"
        );
    }
}

#[test]
fn a_used_up_key_protects_no_more() {
    let (mut protector, _) = pair(Suite::AesCm128HmacSha1_80);
    let mut report = vec![0x80, 201, 0, 1, 0, 0, 0, 7];
    protector.rtcp_index_for_test(0x7fff_ffff);
    protector.protect_rtcp(&mut report.clone()).unwrap();
    assert_eq!(protector.protect_rtcp(&mut report), Err(Refusal::UsedUp));
}

#[test]
fn keys_are_shown_to_nobody() {
    let key = key(Suite::AesCm128HmacSha1_80, 1);
    assert_eq!(format!("{key:?}"), "MasterKey(AES_CM_128_HMAC_SHA1_80)");
    assert_eq!(
        MasterKey::from_bytes(Suite::AeadAes128Gcm, key.as_bytes()),
        None
    );
    assert_eq!(
        MasterKey::from_bytes(key.suite(), key.as_bytes()),
        Some(key)
    );
}

proptest! {
    #![proptest_config(crate::repeatable(2_000))]

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), suite in 0usize..4) {
        let mut bytes = bytes;
        // Most of what is tried shall look like RTP.
        if let Some(first) = bytes.first_mut() {
            *first = *first & 0x1f | 0x80;
        }
        let (mut protector, mut unprotector) = pair(Suite::ALL[suite]);
        prop_assert!(unprotector.unprotect(&mut bytes.clone()).is_err());
        prop_assert!(unprotector.unprotect_rtcp(&mut bytes.clone()).is_err());
        let _ = protector.protect(&mut bytes.clone());
        let _ = protector.protect_rtcp(&mut bytes);
    }

    #[test]
    fn whatever_the_network_does_each_packet_comes_out_once_and_whole(seed: u64, start: u16) {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut protector, mut unprotector) = pair(Suite::AesCm128HmacSha1_32);
        let mut taken = std::collections::HashSet::new();
        let mut wire: Vec<(u32, u32, Vec<u8>)> = Vec::new();
        for n in 0..60u32 {
            let packet = sealed(&mut protector, &rtp(7, start.wrapping_add(n as u16)));
            for _ in 0..random.random_range(0..3) {
                wire.push((n + random.random_range(0..20), n, packet.clone()));
            }
        }
        wire.sort();
        // What came before the first number that was taken may be told from nothing: the counter starts there.
        for (_, n, mut packet) in wire {
            let is_taken = unprotector.unprotect(&mut packet).is_ok();
            if is_taken {
                prop_assert!(taken.insert(n), "{n} came out twice");
                prop_assert_eq!(packet, rtp(7, start.wrapping_add(n as u16)));
            }
        }
    }
}
