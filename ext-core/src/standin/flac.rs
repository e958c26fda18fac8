//! Digital silence as FLAC: each frame is one constant subframe (RFC 9639).

/// One channel is enough: what the person hears comes from the device.
pub(super) const CHANNELS: u8 = 1;
pub(super) const BITS: u8 = 16;
pub(super) const SAMPLE_RATE: u32 = 48_000;
/// A block has at least 16 samples (RFC 9639 section 9.1.2) …
const MIN_BLOCK: u64 = 16;
/// … and its length minus one fits into 16 bits.
const MAX_BLOCK: u64 = 65_535;

/// The metadata block that the sample entry carries: STREAMINFO, last block, 34 bytes (RFC 9639 section 8.2).
pub(super) fn stream_info() -> Vec<u8> {
    let mut info = vec![0x80, 0, 0, 34];
    info.extend([0, 16, 0xff, 0xff]); // shortest and longest block
    info.extend([0; 6]); // frame sizes unknown
    // 20 bits sample rate, 3 bits channels − 1, 5 bits sample size − 1, 36 bits length (unknown), MD5 (unknown).
    let head = (SAMPLE_RATE << 12) | (u32::from(CHANNELS - 1) << 9) | (u32::from(BITS - 1) << 4);
    info.extend(head.to_be_bytes());
    info.extend([0; 20]);
    info
}

/// A frame of silence that lasts `duration_us`, as nearly as whole samples allow. The container carries the exact
/// time; frames say nothing about their place (their number is always 0), so equal lengths are equal bytes.
pub(super) fn silence(duration_us: u64) -> Vec<u8> {
    let samples = duration_us.saturating_mul(u64::from(SAMPLE_RATE)).saturating_add(500_000) / 1_000_000;
    let block = u16::try_from(samples.clamp(MIN_BLOCK, MAX_BLOCK) - 1).unwrap_or(u16::MAX);
    let mut frame = vec![0xff, 0xf8]; // sync, fixed block size
    frame.push(0b0111_1010); // block size in 16 bits at the end of the header; 48 kHz
    frame.push(((CHANNELS - 1) << 4) | 0b1000); // 16 bits a sample
    frame.push(0); // frame number
    frame.extend(block.to_be_bytes());
    let check = frame.iter().fold(0, |crc, &byte| crc8(crc, byte));
    frame.push(check);
    for _ in 0..CHANNELS {
        frame.extend([0, 0, 0]); // constant subframe, value 0
    }
    let check = frame.iter().fold(0, |crc, &byte| crc16(crc, byte));
    frame.extend(check.to_be_bytes());
    frame
}

fn crc8(crc: u8, byte: u8) -> u8 {
    (0..8).fold(crc ^ byte, |c, _| if c & 0x80 == 0 { c << 1 } else { (c << 1) ^ 0x07 })
}

fn crc16(crc: u16, byte: u8) -> u16 {
    (0..8).fold(crc ^ (u16::from(byte) << 8), |c, _| if c & 0x8000 == 0 { c << 1 } else { (c << 1) ^ 0x8005 })
}

#[cfg(test)]
mod tests {
    use super::{crc8, crc16, silence};

    #[test]
    fn checksums_of_a_frame_come_out_as_zero() {
        let frame = silence(20_000);
        assert_eq!(frame.len(), 13);
        assert_eq!(frame[..8].iter().fold(0, |c, &b| crc8(c, b)), 0);
        assert_eq!(frame.iter().fold(0, |c, &b| crc16(c, b)), 0);
    }

    #[test]
    fn any_duration_gives_a_legal_block() {
        for duration in [0, 1, 333, 20_000, 1_000_000, 2_000_000, u64::MAX] {
            assert_eq!(silence(duration).len(), 13);
        }
        assert_eq!(silence(20_000)[5..7], 959_u16.to_be_bytes());
    }
}
