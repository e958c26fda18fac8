//! Bit by bit output for the parts of H.264 that are not byte aligned.

/// Collects bits, most significant first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits already used in the last byte, 0 when it is full (or there is none).
    used: u32,
}

impl BitWriter {
    pub(super) fn bit(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if bit && let Some(last) = self.bytes.last_mut() {
            *last |= 0x80 >> self.used;
        }
        self.used = (self.used + 1) % 8;
    }

    /// The low `count` bits of `value`.
    pub(super) fn bits(&mut self, value: u32, count: u32) {
        for shift in (0..count.min(32)).rev() {
            self.bit((value >> shift) & 1 == 1);
        }
    }

    /// `ue(v)` of H.264 (9.1): unsigned Exp-Golomb. Values here stay far below 2^31.
    pub(super) fn ue(&mut self, value: u32) {
        let code = value.saturating_add(1);
        let length = 32 - code.leading_zeros();
        self.bits(0, length - 1);
        self.bits(code, length);
    }

    /// `se(v)` of H.264 (9.1.1): signed Exp-Golomb.
    pub(super) fn se(&mut self, value: i32) {
        let magnitude = value.unsigned_abs();
        self.ue(if value > 0 { 2 * magnitude - 1 } else { 2 * magnitude });
    }

    /// `rbsp_trailing_bits` (7.3.2.11), then the NAL unit with emulation prevention (7.3.1).
    pub(super) fn into_nal(mut self, header: u8) -> Vec<u8> {
        self.bit(true);
        let mut nal = Vec::with_capacity(self.bytes.len() + 8);
        nal.push(header);
        let mut zeros = 0;
        for byte in self.bytes {
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        nal
    }
}

#[cfg(test)]
mod tests {
    use super::BitWriter;

    #[test]
    fn exp_golomb_matches_the_table_of_the_standard() {
        let mut w = BitWriter::default();
        for value in 0..5 {
            w.ue(value); // 1 010 011 00100 00101
        }
        w.se(1); // 010
        w.se(-1); // 011
        assert_eq!(w.into_nal(9), [9, 0b1010_0110, 0b0100_0010, 0b1010_0111]);
    }

    #[test]
    fn three_byte_patterns_are_escaped() {
        let mut w = BitWriter::default();
        w.bits(0, 24);
        w.bits(1, 8);
        assert_eq!(w.into_nal(1), [1, 0, 0, 3, 0, 1, 0x80]);
    }
}
