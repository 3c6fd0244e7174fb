//! TensorBoard's event files: TFRecord framing with masked CRC-32C, and the few protobuf fields of scalar events.
//!
//! Record: length (u64), masked CRC of the length, data, masked CRC of the data; all little-endian. Formats:
//! `tensorflow/core/lib/io/record_writer.h`, `tensorflow/core/util/event.proto`, `tensorflow/core/framework/summary.proto`.

/// The first event of a file: it names the format.
pub fn version_event(wall_time: f64) -> Vec<u8> {
    let mut event = Message::default();
    event.double(1, wall_time);
    event.bytes(3, b"brain.Event:2");
    record(&event.data)
}

/// One event with scalars of one step.
pub fn scalars_event<'a>(
    wall_time: f64,
    step: u64,
    scalars: impl IntoIterator<Item = (&'a str, f64)>,
) -> Vec<u8> {
    let mut summary = Message::default();
    for (tag, value) in scalars {
        let mut entry = Message::default();
        entry.bytes(1, tag.as_bytes());
        entry.float(2, value as f32);
        summary.bytes(1, &entry.data);
    }
    let mut event = Message::default();
    event.double(1, wall_time);
    event.varint(2, step);
    event.bytes(5, &summary.data);
    record(&event.data)
}

/// A protobuf message that is being written.
#[derive(Default)]
struct Message {
    data: Vec<u8>,
}

impl Message {
    fn key(&mut self, field: u8, wire_type: u8) {
        self.data.push((field << 3) | wire_type);
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.data.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.data.push(value as u8);
    }

    fn varint(&mut self, field: u8, value: u64) {
        self.key(field, 0);
        self.raw_varint(value);
    }

    fn double(&mut self, field: u8, value: f64) {
        self.key(field, 1);
        self.data.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u8, value: &[u8]) {
        self.key(field, 2);
        self.raw_varint(value.len() as u64);
        self.data.extend(value);
    }

    fn float(&mut self, field: u8, value: f32) {
        self.key(field, 5);
        self.data.extend(value.to_le_bytes());
    }
}

fn record(data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(data.len() + 16);
    out.extend(len);
    out.extend(masked_crc32c(&len).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc32c(data).to_le_bytes());
    out
}

/// `rotate_right(crc, 15) + 0xa282ead8`, so that a CRC of data that holds CRCs stays a good CRC.
fn masked_crc32c(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), reflected polynomial 0x82f63b78.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| {
        CRC32C[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}

const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_of_rfc_3720_vectors() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn version_event_has_the_documented_bytes() {
        let bytes = version_event(1.5);
        assert_eq!(bytes[..8], 24u64.to_le_bytes());
        assert_eq!(
            bytes[8..12],
            masked_crc32c(&24u64.to_le_bytes()).to_le_bytes()
        );
        assert_eq!(bytes[12], 0x09);
        assert_eq!(bytes[13..21], 1.5f64.to_le_bytes());
        assert_eq!(&bytes[21..36], b"\x1a\x0dbrain.Event:2");
        assert_eq!(bytes[36..], masked_crc32c(&bytes[12..36]).to_le_bytes());
    }

    #[test]
    fn scalars_event_nests_tag_and_value() {
        let bytes = scalars_event(0.0, 300, [("a/b", 0.5)]);
        let data = &bytes[12..bytes.len() - 4];
        let mut expected = vec![
            0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0xac, 0x02, 0x2a, 0x0c, 0x0a, 0x0a,
        ];
        expected.extend(b"\x0a\x03a/b\x15");
        expected.extend(0.5f32.to_le_bytes());
        assert_eq!(data, expected);
    }
}
