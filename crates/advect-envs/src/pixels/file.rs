//! PNG files.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, Encoder, EncodingError};

use super::{Image, check_size};
use crate::EnvError;

impl Image {
    /// Writes the frame to the PNG file `path`, replacing what is there.
    ///
    /// # Errors
    /// [`EnvError::ImageFile`].
    pub fn write_png(&self, path: &Path) -> Result<(), EnvError> {
        let written = File::create(path)
            .map_err(EncodingError::from)
            .and_then(|file| self.encode(BufWriter::new(file)));
        written.map_err(|error| {
            // nothing half-written stays; the error that matters is the first
            let _ = std::fs::remove_file(path);
            failed("write", path, &error)
        })
    }

    /// Reads a PNG file of 8 bits a channel, red, green and blue, as [`Image::write_png`] writes it.
    ///
    /// # Errors
    /// [`EnvError::ImageFile`], [`EnvError::BadFrame`].
    pub fn read_png(path: &Path) -> Result<Self, EnvError> {
        let file = File::open(path).map_err(|error| failed("read", path, &error))?;
        let bad = |error: png::DecodingError| failed("read", path, &error);
        let mut reader = Decoder::new(BufReader::new(file))
            .read_info()
            .map_err(bad)?;
        let info = reader.info();
        if (info.color_type, info.bit_depth) != (ColorType::Rgb, BitDepth::Eight) {
            return Err(failed("read", path, &"its pixels are not 8-bit RGB"));
        }
        let (width, height) = (info.width as usize, info.height as usize);
        check_size(width, height)?;
        let mut bytes = vec![0; 3 * width * height];
        reader.next_frame(&mut bytes).map_err(bad)?;
        Ok(Self {
            width,
            height,
            bytes,
        })
    }

    fn encode(&self, file: impl Write) -> Result<(), EncodingError> {
        // both sizes were checked against MOST_PIXELS
        let mut encoder = Encoder::new(file, self.width as u32, self.height as u32);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.bytes)?;
        writer.finish()
    }
}

fn failed(verb: &'static str, path: &Path, reason: &impl Display) -> EnvError {
    EnvError::ImageFile {
        verb,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
