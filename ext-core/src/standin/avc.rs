//! The flat dark H.264 picture: parameter sets and slices, written bit by bit.
//!
//! Every macroblock is I16x16 with DC prediction and no residual (8 bits in CAVLC), except for the first, whose
//! luma DC coefficient takes the grey that DC prediction starts from down to black. Chroma stays neutral.

use super::bits::BitWriter;

/// Quantiser of every slice: the coarsest, so that one small level makes the colour.
const QP: i32 = 51;
/// Steps down in the first macroblock: 14 grey levels each at `QP`, 128 − 7 × 14 = 30, a very dark grey.
const DARKER: u32 = 7;

const NAL_IDR: u8 = 0x65;
const NAL_SPS: u8 = 0x67;
const NAL_PPS: u8 = 0x68;

/// How a picture size is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    /// The visible part of the coded picture.
    pub width: u32,
    pub height: u32,
    /// Sample aspect ratio that stretches the visible part to the size that the page sees.
    pub aspect: (u32, u32),
    /// Without chroma planes, the only way to crop to an odd size.
    pub monochrome: bool,
}

impl Picture {
    /// Codes as few macroblocks as show the exact size: one side shrinks to a macroblock, and the sample aspect
    /// ratio stretches it back. The other side has to come out exact by cropping, which with chroma planes goes by
    /// twos: so the even one is kept, and if there is none the picture has no chroma.
    pub(super) fn new(width: u32, height: u32) -> Self {
        let (even_width, even_height) = (width.is_multiple_of(2), height.is_multiple_of(2));
        if width > 16 && (even_height || !even_width) {
            return Self { width: 16, height, aspect: (width, 16), monochrome: !even_height };
        }
        if height > 16 && even_width {
            return Self { width, height: 16, aspect: (16, height), monochrome: false };
        }
        Self { width, height, aspect: (1, 1), monochrome: !(even_width && even_height) }
    }

    fn macroblocks(self) -> (u32, u32) {
        (self.width.div_ceil(16), self.height.div_ceil(16))
    }

    /// `level_idc`: the lowest from 3.0 whose frame size and dimensions (table A-1, A.3.1) hold the picture.
    pub(super) fn level(self) -> u8 {
        let (w, h) = self.macroblocks();
        let (w, h) = (u64::from(w), u64::from(h));
        [(30, 1620_u64), (40, 8192), (51, 36864)]
            .into_iter()
            .find(|&(_, max)| w * h <= max && w * w <= max * 8 && h * h <= max * 8)
            .map_or(62, |(level, _)| level)
    }

    /// Sequence parameter set (7.3.2.1.1), High profile.
    pub(super) fn sps(self) -> Vec<u8> {
        let (w, h) = self.macroblocks();
        let mut b = BitWriter::default();
        b.bits(100, 8);
        b.bits(0, 8);
        b.bits(u32::from(self.level()), 8);
        b.ue(0);
        b.ue(u32::from(!self.monochrome)); // chroma_format_idc
        b.ue(0); // bit_depth_luma_minus8
        b.ue(0);
        b.bit(false); // qpprime_y_zero_transform_bypass_flag
        b.bit(false); // seq_scaling_matrix_present_flag
        b.ue(0); // log2_max_frame_num_minus4
        b.ue(2); // pic_order_cnt_type: output order is decoding order
        b.ue(1); // max_num_ref_frames
        b.bit(false);
        b.ue(w - 1);
        b.ue(h - 1);
        b.bit(true); // frame_mbs_only_flag
        b.bit(true); // direct_8x8_inference_flag
        let unit = if self.monochrome { 1 } else { 2 };
        let (right, bottom) = ((w * 16 - self.width) / unit, (h * 16 - self.height) / unit);
        b.bit(right + bottom > 0);
        if right + bottom > 0 {
            for crop in [0, right, 0, bottom] {
                b.ue(crop);
            }
        }
        b.bit(true); // vui_parameters_present_flag (E.1.1)
        b.bit(true);
        b.bits(255, 8); // Extended_SAR
        b.bits(self.aspect.0, 16);
        b.bits(self.aspect.1, 16);
        b.bits(0, 7); // overscan, video signal, chroma location, timing, 2 × HRD, pic_struct: none
        b.bit(true); // bitstream_restriction_flag
        b.bit(true);
        b.ue(0);
        b.ue(0);
        b.ue(10);
        b.ue(10);
        b.ue(0); // max_num_reorder_frames: nothing is held back
        b.ue(1);
        b.into_nal(NAL_SPS)
    }

    /// Picture parameter set (7.3.2.2): CAVLC, deblocking switched off in the slices.
    pub(super) fn pps(self) -> Vec<u8> {
        let mut b = BitWriter::default();
        b.ue(0);
        b.ue(0);
        b.bits(0, 2); // entropy_coding_mode_flag, bottom_field_pic_order…
        b.ue(0); // one slice group
        b.ue(0);
        b.ue(0);
        b.bits(0, 3); // weighted prediction
        b.se(QP - 26);
        b.se(0);
        b.se(0);
        b.bit(true); // deblocking_filter_control_present_flag
        b.bits(0, 2);
        b.into_nal(NAL_PPS)
    }

    /// One whole picture as an IDR slice. Pictures that follow each other take different `id`s (7.4.3).
    pub(super) fn idr(self, id: u32) -> Vec<u8> {
        let (w, h) = self.macroblocks();
        let mut b = BitWriter::default();
        b.ue(0);
        b.ue(7); // slice_type I, all slices of the picture
        b.ue(0);
        b.bits(0, 4); // frame_num
        b.ue(id);
        b.bits(0, 2); // dec_ref_pic_marking
        b.se(0); // slice_qp_delta
        b.ue(1); // disable_deblocking_filter_idc
        for index in 0..w * h {
            b.ue(3); // mb_type I_16x16_2_0_0
            if !self.monochrome {
                b.ue(0); // intra_chroma_pred_mode DC
            }
            b.se(0); // mb_qp_delta
            if index == 0 {
                dc_level(&mut b);
            } else {
                b.bit(true); // coeff_token: no coefficient
            }
        }
        b.into_nal(NAL_IDR)
    }
}

/// `residual_block_cavlc` (7.3.5.3.2) with minus `DARKER` as the only coefficient.
fn dc_level(b: &mut BitWriter) {
    b.bits(0b00_0101, 6); // coeff_token: one coefficient, not a trailing one
    // 9.2.2.1 backwards: −2 × level − 1, less 2 because the magnitude is known to be above 1. Up to 13 there is
    // no suffix, only so many zeros.
    b.bits(0, 2 * DARKER - 3);
    b.bit(true);
    b.bit(true); // total_zeros 0
}
