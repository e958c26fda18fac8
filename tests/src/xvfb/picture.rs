//! Pixels of a screen or a page.

use std::fs::File;
use std::io::{BufWriter, Cursor};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// A picture of red, green and blue bytes, row by row from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture from its bytes, three for a pixel.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self> {
        if Some(rgb.len()) != width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3)) {
            bail!("{} bytes do not make {width}x{height} pixels", rgb.len());
        }
        Ok(Self { width, height, rgb })
    }

    /// Reads an 8 bit RGB or RGBA PNG, such as the browser's screenshots; transparency is dropped.
    pub fn from_png(bytes: &[u8]) -> Result<Self> {
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info()?;
        let mut data = vec![0; reader.output_buffer_size().context("the picture is too large")?];
        let info = reader.next_frame(&mut data)?;
        data.truncate(info.buffer_size());
        if info.bit_depth != png::BitDepth::Eight {
            bail!("the picture is not 8 bit");
        }
        let rgb = match info.color_type {
            png::ColorType::Rgb => data,
            png::ColorType::Rgba => {
                data.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
            }
            png::ColorType::Grayscale | png::ColorType::Indexed | png::ColorType::GrayscaleAlpha => {
                bail!("the picture is {:?}", info.color_type)
            }
        };
        Self::new(usize::try_from(info.width)?, usize::try_from(info.height)?, rgb)
    }

    /// Writes the picture as a PNG file.
    pub fn write_png(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut encoder =
            png::Encoder::new(BufWriter::new(file), u32::try_from(self.width)?, u32::try_from(self.height)?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header()?.write_image_data(&self.rgb)?;
        Ok(())
    }

    /// Pixels in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// All bytes, row by row.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixel at `x`, `y`, or `None` outside.
    #[must_use]
    pub fn pixel(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        if x >= self.width {
            return None;
        }
        let start = y.checked_mul(self.width)?.checked_add(x)?.checked_mul(3)?;
        self.rgb.get(start..start.checked_add(3)?)?.try_into().ok()
    }

    /// Left, top, right and bottom of all pixels within `tolerance` of `colour` (right and bottom outside); `None` if there is none.
    #[must_use]
    pub fn bounds_of(&self, colour: [u8; 3], tolerance: u8) -> Option<[usize; 4]> {
        let mut bounds: Option<[usize; 4]> = None;
        for (index, pixel) in self.rgb.chunks_exact(3).enumerate() {
            if pixel.iter().zip(colour).any(|(part, wanted)| part.abs_diff(wanted) > tolerance) {
                continue;
            }
            let (x, y) = (index % self.width, index / self.width);
            let [left, top, right, bottom] = bounds.unwrap_or([x, y, x, y]);
            bounds = Some([left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)]);
        }
        bounds
    }

    /// The part of `width` by `height` pixels at `x`, `y`; an error if it is not inside.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Self> {
        let mut rgb = Vec::new();
        for row in y..y + height {
            let start = (row * self.width + x) * 3;
            if x + width > self.width {
                bail!("columns {x} to {} are not in a picture {} wide", x + width, self.width);
            }
            rgb.extend_from_slice(
                self.rgb.get(start..start + width * 3).context("the rows are not in the picture")?,
            );
        }
        Self::new(width, height, rgb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_comes_back_as_it_was_and_crops_inside_only() {
        let picture = Picture::new(2, 2, vec![2, 2, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.png");
        picture.write_png(&path).unwrap();
        assert_eq!(Picture::from_png(&std::fs::read(path).unwrap()).unwrap(), picture);
        assert_eq!(picture.crop(1, 1, 1, 1).unwrap().rgb(), [10, 11, 12]);
        assert!(picture.crop(1, 1, 2, 1).is_err());
        assert_eq!(picture.pixel(1, 0), Some([4, 5, 6]));
        assert_eq!(picture.pixel(2, 0), None);
        assert_eq!(picture.bounds_of([5, 5, 5], 3), Some([0, 0, 2, 1]));
        assert_eq!(picture.bounds_of([11, 11, 11], 1), Some([1, 1, 2, 2]));
        assert_eq!(picture.bounds_of([99, 99, 99], 1), None);
    }
}
