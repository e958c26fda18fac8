//! The number that every frame of a test clip carries in its picture, readable after compression, scaling and a screenshot.
//!
//! The picture is divided into 40 columns; a cell is as high as it is wide. The row of cells 1 (counted from 0), columns 1 to 24,
//! holds 24 black or white cells: the mark 1011, then the number's 16 bits, most significant first, then a check of 4 bits (the
//! number's four hexadecimal digits and ten, xored). `tests/clips/frame_number.js` reads the same; keep the two in step.
//!
//! Round the picture runs a border of one flat colour, [`BORDER`], a fifth of a cell wide, so that a screenshot shows to the
//! pixel where the picture lies.

/// Columns that the picture is divided into.
const COLUMNS: usize = 40;
/// Cells of the code: mark, number, check.
const CELLS: usize = 24;
/// The first four cells.
const MARK: u32 = 0b1011;
/// Xored into the check, so that an all-black or all-white row is never a number.
const CHECK_SALT: u32 = 0b1010;
/// Least difference of brightness (0 to 255) between black and white cells.
const LEAST_CONTRAST: u32 = 80;

/// The colour of the border: red, green, blue.
pub const BORDER: [u8; 3] = [0, 214, 143];

/// JavaScript that defines `readFrameNumber(data, width, height)` for pixels of an `ImageData`; for `Page::evaluate`.
#[must_use]
pub fn script() -> String {
    include_str!("../clips/frame_number.js").replace("export function", "function")
}

/// The number in a picture of red, green and blue bytes, or `None` if it carries none (another picture, a flat colour, a
/// picture in the middle of a change).
#[must_use]
pub fn read(rgb: &[u8], width: usize, height: usize) -> Option<u16> {
    let mut brightness = [0; CELLS];
    for (index, value) in brightness.iter_mut().enumerate() {
        *value = cell_brightness(rgb, width, height, index)?;
    }
    let (darkest, brightest) = (*brightness.iter().min()?, *brightness.iter().max()?);
    if brightest - darkest < LEAST_CONTRAST {
        return None;
    }
    let middle = darkest.midpoint(brightest);
    let code = brightness.iter().fold(0, |code, value| code << 1 | u32::from(*value > middle));
    let number = u16::try_from(code >> 4 & 0xffff).ok()?;
    (code == encode(number)).then_some(number)
}

/// The 24 cells for `number`, the first cell in the highest bit.
fn encode(number: u16) -> u32 {
    let number = u32::from(number);
    let check = number >> 12 ^ number >> 8 ^ number >> 4 ^ number ^ CHECK_SALT;
    MARK << 20 | number << 4 | check & 0xf
}

/// Mean brightness of the middle quarter of a cell, where scaling and compression don't reach.
fn cell_brightness(rgb: &[u8], width: usize, height: usize, index: usize) -> Option<u32> {
    let column = index + 1;
    // In quarters of a cell: from one quarter to three quarters of it, at least one pixel.
    let bounds = |cell: usize| {
        let first = (cell * 4 + 1) * width / (COLUMNS * 4);
        (first, ((cell * 4 + 3) * width / (COLUMNS * 4)).max(first + 1))
    };
    let ((left, right), (top, bottom)) = (bounds(column), bounds(1));
    if right > width || bottom > height {
        return None;
    }
    let mut sum = 0;
    for y in top..bottom {
        for x in left..right {
            let start = (y * width + x) * 3;
            let pixel = rgb.get(start..start + 3)?;
            // Weights of ITU-R BT.601, in 1/256.
            sum += (u32::from(pixel[0]) * 77 + u32::from(pixel[1]) * 150 + u32::from(pixel[2]) * 29) >> 8;
        }
    }
    u32::try_from((right - left) * (bottom - top)).ok().map(|count| sum / count)
}

/// Draws frame `number` of a test clip into `rgb`: the code, the border, and something that a person sees moving.
///
/// `per_second` is the frame rate; a sweep goes round once a second and a ball crosses the picture.
pub fn draw(rgb: &mut [u8], width: usize, height: usize, number: u16, per_second: u16) {
    let canvas =
        Canvas { width, height, number: usize::from(number), per_second: usize::from(per_second.max(1)) };
    for (index, pixel) in rgb.chunks_exact_mut(3).enumerate() {
        pixel.copy_from_slice(&canvas.colour(index % width.max(1), index / width.max(1)));
    }
}

struct Canvas {
    width: usize,
    height: usize,
    number: usize,
    per_second: usize,
}

impl Canvas {
    fn colour(&self, x: usize, y: usize) -> [u8; 3] {
        let border = (self.width / COLUMNS / 5).max(1);
        if x < border || y < border || x >= self.width - border || y >= self.height - border {
            return BORDER;
        }
        let (column, row) = (x * COLUMNS / self.width, y * COLUMNS / self.width);
        if row <= 2 && column <= CELLS + 1 {
            return self.code_colour(column, row);
        }
        self.ball_colour(x, y).or_else(|| self.bar_colour(column, row)).unwrap_or_else(|| self.ground(y))
    }

    /// The code on a band of middle grey.
    fn code_colour(&self, column: usize, row: usize) -> [u8; 3] {
        if row != 1 || column == 0 || column > CELLS {
            return [96, 96, 96];
        }
        let code = encode(u16::try_from(self.number & 0xffff).unwrap_or(0));
        if code >> (CELLS - column) & 1 == 1 { [255, 255, 255] } else { [0, 0, 0] }
    }

    /// A ball that crosses the picture in four seconds, there and back, and bounces once a second.
    fn ball_colour(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        let radius = self.width / 16;
        let cycle = self.per_second * 8;
        let there = self.number % cycle;
        let step = there.min(cycle - there);
        let centre_x = radius * 3 / 2 + (self.width - radius * 3) * step / (cycle / 2);
        let phase = self.number % self.per_second;
        // A parabola: 0 at the beginning and the end of a second, 1 in its middle.
        let height =
            self.height / 3 * 4 * phase * (self.per_second - phase) / (self.per_second * self.per_second);
        let centre_y = self.height * 4 / 5 - radius - height.min(self.height / 2);
        let (dx, dy) = (x.abs_diff(centre_x), y.abs_diff(centre_y));
        let distance = dx * dx + dy * dy;
        if distance > radius * radius {
            return None;
        }
        Some(if distance * 9 < radius * radius * 4 { [255, 196, 84] } else { [255, 160, 40] })
    }

    /// A bar along the bottom that fills once in thirty seconds, a column at a time.
    fn bar_colour(&self, column: usize, row: usize) -> Option<[u8; 3]> {
        let last_row = (self.height - 1) * COLUMNS / self.width;
        if row + 2 != last_row + 1 || column == 0 || column + 1 >= COLUMNS {
            return None;
        }
        let filled = (COLUMNS - 2) * (self.number % (self.per_second * 30)) / (self.per_second * 30);
        Some(if column <= filled { BORDER } else { [44, 62, 96] })
    }

    fn ground(&self, y: usize) -> [u8; 3] {
        if y * 5 > self.height * 4 {
            return [24, 36, 62];
        }
        // A few broad bands: a gradient would cost bits and show as bands anyway.
        let band = u8::try_from(y * 5 / self.height.max(1)).unwrap_or(0);
        [14 + band * 3, 22 + band * 5, 44 + band * 8]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: usize, height: usize, number: u16) -> Vec<u8> {
        let mut rgb = vec![0; width * height * 3];
        draw(&mut rgb, width, height, number, 30);
        rgb
    }

    #[test]
    fn every_number_that_is_drawn_is_read() {
        for number in [0, 1, 2, 30, 899, 0x5555, 0xaaaa, 0xffff] {
            assert_eq!(read(&frame(640, 360, number), 640, 360), Some(number));
        }
        assert_eq!(read(&frame(1920, 1080, 4711), 1920, 1080), Some(4711));
        assert_eq!(read(&frame(320, 180, 4711), 320, 180), Some(4711));
    }

    #[test]
    fn a_picture_scaled_and_shifted_by_a_pixel_is_read() {
        let (width, height) = (640, 360);
        let original = frame(width, height, 1234);
        let (small_width, small_height) = (427, 240);
        let mut small = Vec::new();
        for y in 0..small_height {
            for x in 0..small_width {
                let start = ((y * height / small_height).min(height - 2) + 1) * width * 3
                    + x * width / small_width * 3;
                small.extend_from_slice(&original[start..start + 3]);
            }
        }
        assert_eq!(read(&small, small_width, small_height), Some(1234));
    }

    #[test]
    fn flat_colours_noise_and_half_pictures_carry_no_number() {
        assert_eq!(read(&vec![128; 640 * 360 * 3], 640, 360), None);
        assert_eq!(read(&vec![0; 640 * 360 * 3], 640, 360), None);
        let mut state = 1_u32;
        let noise: Vec<u8> = (0..640 * 360 * 3)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect();
        assert_eq!(read(&noise, 640, 360), None);
        assert_eq!(read(&[], 640, 360), None);
        assert_eq!(read(&[], 0, 0), None);
        let mut changed = frame(640, 360, 7);
        // One cell of the number turned over.
        for y in 16..32 {
            let start = (y * 640 + 10 * 16) * 3;
            changed[start..start + 48].iter_mut().for_each(|byte| *byte = !*byte);
        }
        assert_eq!(read(&changed, 640, 360), None);
    }
}
