//! Session keys and what is done with them: the one door to AES, HMAC and GCM.

use aes::cipher::{InnerIvInit, KeyInit, StreamCipher};
use aes::{Aes128, Aes256};
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ctr::{Ctr128BE, CtrCore};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::{MasterKey, Refusal, Suite};

/// Of which of the two streams the keys are (RFC 3711 section 4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Rtp,
    Rtcp,
}

impl Stream {
    /// The label of its encryption key; those of the authentication key and the salt follow.
    fn label(self) -> u8 {
        match self {
            Stream::Rtp => 0,
            Stream::Rtcp => 3,
        }
    }
}

/// The session keys of one stream in one direction.
pub(super) enum Cipher {
    CounterMode {
        aes: Box<Aes128>,
        salt: [u8; 14],
        hmac: Box<Hmac<Sha1>>,
        tag: usize,
    },
    Gcm128 {
        gcm: Box<Aes128Gcm>,
        salt: [u8; 12],
    },
    Gcm256 {
        gcm: Box<Aes256Gcm>,
        salt: [u8; 12],
    },
}

/// Bytes of an HMAC-SHA1 key.
const HMAC_KEY: usize = 20;

/// Bytes of a GCM tag.
const GCM_TAG: usize = 16;

/// What a packet is sealed by: whose it is, and its number among all under the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nonce {
    pub(super) ssrc: u32,
    /// 48 bits for RTP, 31 for RTCP.
    pub(super) index: u64,
}

impl Cipher {
    pub(super) fn new(master: &MasterKey, stream: Stream) -> Cipher {
        let suite = master.suite();
        let label = stream.label();
        let mut key = Zeroizing::new([0; 32]);
        let key = &mut key[..suite.key_length()];
        derive(master, label, key);
        match suite {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
                let mut authentication = Zeroizing::new([0; HMAC_KEY]);
                derive(master, label + 1, &mut authentication[..]);
                let mut salt = [0; 14];
                derive(master, label + 2, &mut salt);
                Cipher::CounterMode {
                    aes: Box::new(keyed(key)),
                    salt,
                    hmac: Box::new(keyed(&authentication[..])),
                    tag: match (suite, stream) {
                        (Suite::AesCm128HmacSha1_32, Stream::Rtp) => 4,
                        _ => 10,
                    },
                }
            }
            Suite::AeadAes128Gcm => Cipher::Gcm128 {
                gcm: Box::new(keyed(key)),
                salt: gcm_salt(master, label),
            },
            Suite::AeadAes256Gcm => Cipher::Gcm256 {
                gcm: Box::new(keyed(key)),
                salt: gcm_salt(master, label),
            },
        }
    }

    /// Bytes that sealing adds.
    pub(super) fn tag_length(&self) -> usize {
        match self {
            Cipher::CounterMode { tag, .. } => *tag,
            Cipher::Gcm128 { .. } | Cipher::Gcm256 { .. } => GCM_TAG,
        }
    }

    /// Encrypt `packet` from `head` on and append the tag. `trailer` is authenticated and not sent here.
    pub(super) fn seal(&self, nonce: Nonce, packet: &mut Vec<u8>, head: usize, trailer: &[u8]) {
        match self {
            Cipher::CounterMode {
                aes,
                salt,
                hmac,
                tag,
            } => {
                if let Some(payload) = packet.get_mut(head..) {
                    counter_mode(aes, salt, nonce, payload);
                }
                let mut mac = Hmac::clone(hmac);
                mac.update(packet);
                mac.update(trailer);
                let whole = mac.finalize().into_bytes();
                packet.extend(whole.iter().take(*tag));
            }
            Cipher::Gcm128 { gcm, salt } => gcm_seal(&**gcm, salt, nonce, packet, head, trailer),
            Cipher::Gcm256 { gcm, salt } => gcm_seal(&**gcm, salt, nonce, packet, head, trailer),
        }
    }

    /// Check the tag at the end of `packet`, and only then take it off and decrypt from `head` on.
    pub(super) fn open(
        &self,
        nonce: Nonce,
        packet: &mut Vec<u8>,
        head: usize,
        trailer: &[u8],
    ) -> Result<(), Refusal> {
        let end = packet.len().checked_sub(self.tag_length());
        let end = end.filter(|end| *end >= head).ok_or(Refusal::Malformed)?;
        let (body, tag) = packet.split_at_mut(end);
        match self {
            Cipher::CounterMode {
                aes, salt, hmac, ..
            } => {
                let mut mac = Hmac::clone(hmac);
                mac.update(body);
                mac.update(trailer);
                mac.verify_truncated_left(tag)
                    .map_err(|_| Refusal::Unauthentic)?;
                let (_, payload) = body.split_at_mut(head);
                counter_mode(aes, salt, nonce, payload);
            }
            Cipher::Gcm128 { gcm, salt } => {
                gcm_open(&**gcm, salt, nonce, (body, tag), head, trailer)?;
            }
            Cipher::Gcm256 { gcm, salt } => {
                gcm_open(&**gcm, salt, nonce, (body, tag), head, trailer)?;
            }
        }
        packet.truncate(end);
        Ok(())
    }
}

/// All our keys have the length that their type wants; another one would be a fault of this file.
fn keyed<T: KeyInit>(key: &[u8]) -> T {
    let mut exact = aes::cipher::Key::<T>::default();
    for (to, from) in exact.iter_mut().zip(key) {
        *to = *from;
    }
    T::new(&exact)
}

/// RFC 3711 section 4.1.1; the salt stands above the 16 bits that count blocks.
fn counter_mode(aes: &Aes128, salt: &[u8; 14], nonce: Nonce, payload: &mut [u8]) {
    let salt = salt
        .iter()
        .fold(0u128, |value, byte| value << 8 | u128::from(*byte))
        << 16;
    let counter = salt ^ u128::from(nonce.ssrc) << 64 ^ u128::from(nonce.index) << 16;
    let core = CtrCore::inner_iv_init(aes.clone(), &counter.to_be_bytes().into());
    Ctr128BE::<Aes128>::from_core(core).apply_keystream(payload);
}

/// RFC 7714 sections 8.1 and 9.1: both come to 16 bits of nought, the SSRC, and 48 bits of index.
fn gcm_nonce(salt: &[u8; 12], nonce: Nonce) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[2..6].copy_from_slice(&nonce.ssrc.to_be_bytes());
    bytes[6..].copy_from_slice(&nonce.index.to_be_bytes()[2..]);
    for (byte, salt) in bytes.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    bytes
}

fn gcm_seal<G>(
    gcm: &G,
    salt: &[u8; 12],
    nonce: Nonce,
    packet: &mut Vec<u8>,
    head: usize,
    trailer: &[u8],
) where
    G: AeadInOut<NonceSize = aes_gcm::aead::consts::U12>,
{
    let iv = gcm_nonce(salt, nonce);
    let head = head.min(packet.len());
    let (header, payload) = packet.split_at_mut(head);
    let associated = [header, trailer].concat();
    // Fails for payloads of 64 GB only; nothing may go out in the open even then.
    match gcm.encrypt_inout_detached(&iv.into(), &associated, payload.into()) {
        Ok(tag) => packet.extend_from_slice(&tag),
        Err(_) => packet.clear(),
    }
}

fn gcm_open<G>(
    gcm: &G,
    salt: &[u8; 12],
    nonce: Nonce,
    (body, tag): (&mut [u8], &[u8]),
    head: usize,
    trailer: &[u8],
) -> Result<(), Refusal>
where
    G: AeadInOut<NonceSize = aes_gcm::aead::consts::U12>,
{
    let iv = gcm_nonce(salt, nonce);
    let (header, payload) = body.split_at_mut(head);
    let associated = [&*header, trailer].concat();
    let tag = tag.try_into().map_err(|_| Refusal::Malformed)?;
    gcm.decrypt_inout_detached(&iv.into(), &associated, payload.into(), tag)
        .map_err(|_| Refusal::Unauthentic)
}

fn gcm_salt(master: &MasterKey, label: u8) -> [u8; 12] {
    let mut salt = [0; 12];
    derive(master, label + 2, &mut salt);
    salt
}

/// RFC 3711 section 4.3.3 with a key derivation rate of nought: the keystream of the master key, from a counter that
/// carries the label. The shorter salt of GCM is filled up with noughts on the right (RFC 7714 section 11).
fn derive(master: &MasterKey, label: u8, into: &mut [u8]) {
    let (key, salt) = master.key_and_salt();
    let mut counter = [0; 16];
    for (byte, salt) in counter.iter_mut().zip(salt) {
        *byte = *salt;
    }
    counter[7] ^= label;
    into.fill(0);
    let iv = counter.into();
    if key.len() == 32 {
        let core = CtrCore::inner_iv_init(keyed::<Aes256>(key), &iv);
        Ctr128BE::<Aes256>::from_core(core).apply_keystream(into);
    } else {
        let core = CtrCore::inner_iv_init(keyed::<Aes128>(key), &iv);
        Ctr128BE::<Aes128>::from_core(core).apply_keystream(into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        let pairs = digits.chunks(2);
        pairs.map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }

    #[test]
    fn session_keys_are_those_of_rfc_3711_appendix_b_3() {
        let master = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
        let master = MasterKey::from_bytes(Suite::AesCm128HmacSha1_80, &master).unwrap();
        let derived = |label, length| {
            let mut bytes = vec![0; length];
            derive(&master, label, &mut bytes);
            bytes
        };
        assert_eq!(derived(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(derived(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(
            derived(1, 20),
            hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
        );
    }

    #[test]
    fn the_keystream_is_that_of_rfc_3711_appendix_b_2() {
        let aes: Aes128 = keyed(&hex("2B7E151628AED2A6ABF7158809CF4F3C"));
        let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
        let mut stream = vec![0; 48];
        counter_mode(&aes, &salt, Nonce { ssrc: 0, index: 0 }, &mut stream);
        let expected = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB
                        41E95B3BB0A2E8DD477901E4FCA894C0";
        assert_eq!(stream, hex(expected));
    }

    #[test]
    fn a_sealed_packet_is_that_of_rfc_7714_section_16_1_1() {
        let salt = hex("51756964 2070726f 2071756f").try_into().unwrap();
        let gcm = keyed(&hex("000102030405060708090a0b0c0d0e0f"));
        let cipher = Cipher::Gcm128 {
            gcm: Box::new(gcm),
            salt,
        };
        let mut packet = hex(
            "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
             69736120 696e2070 61727465 73207472 6573",
        );
        let nonce = Nonce {
            ssrc: 0x5501_a0b2,
            index: 0xf17b,
        };
        let plain = packet.clone();
        cipher.seal(nonce, &mut packet, 12, &[]);
        let sealed = hex(
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
             0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        );
        assert_eq!(packet, sealed);
        cipher.open(nonce, &mut packet, 12, &[]).unwrap();
        assert_eq!(packet, plain);
    }
}
