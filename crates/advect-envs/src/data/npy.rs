//! NumPy's array files: a header that is a Python dictionary, then the numbers.

/// Shape and numbers of an array in C order.
pub(super) fn parse(bytes: &[u8]) -> Result<(Vec<usize>, Vec<f32>), String> {
    let (header, data) = split(bytes).ok_or("is no NumPy array or ends in its header")?;
    let field = |name: &str| field(header, name).ok_or(format!("has no `{name}` in its header"));
    let shape = shape(field("shape")?).ok_or("has a shape that cannot be read")?;
    if field("fortran_order")?.starts_with("True") && shape.len() > 1 {
        return Err("is stored column by column; save it in C order".to_owned());
    }
    let kind = field("descr")?.trim_start_matches('\'');
    let kind = kind.split('\'').next().unwrap_or_default();
    let (size, read) = reader(kind).ok_or(format!(
        "has the type {kind}; use little-endian f4, f8, i4, i8, u1 or b1"
    ))?;
    let count = shape.iter().try_fold(size, |n, side| n.checked_mul(*side));
    if count != Some(data.len()) {
        let len = data.len();
        return Err(format!(
            "has {len} bytes of numbers for its shape {shape:?} of {kind}"
        ));
    }
    Ok((shape, data.chunks_exact(size).map(read).collect()))
}

/// Header text and numbers of version 1, 2 or 3.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (len, rest) = if version[0] == 1 {
        let (len, rest) = rest.split_first_chunk()?;
        (usize::from(u16::from_le_bytes(*len)), rest)
    } else {
        let (len, rest) = rest.split_first_chunk()?;
        (u32::from_le_bytes(*len) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(len)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// What follows the name of a field.
fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{name}':"))?;
    Some(rest.trim_start())
}

/// `(7, 3)`, `(7,)` or `()`.
fn shape(text: &str) -> Option<Vec<usize>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let sides = inside.split(',').map(str::trim);
    sides
        .filter(|side| !side.is_empty())
        .map(|side| side.parse().ok())
        .collect()
}

type Read = fn(&[u8]) -> f32;

/// Bytes of a number, and how to read it.
fn reader(kind: &str) -> Option<(usize, Read)> {
    fn bytes<const N: usize>(bytes: &[u8]) -> [u8; N] {
        std::array::from_fn(|i| bytes[i])
    }
    Some(match kind {
        "<f4" => (4, |b| f32::from_le_bytes(bytes(b))),
        "<f8" => (8, |b| f64::from_le_bytes(bytes(b)) as f32),
        "<i4" => (4, |b| i32::from_le_bytes(bytes(b)) as f32),
        "<i8" => (8, |b| i64::from_le_bytes(bytes(b)) as f32),
        "|u1" | "|b1" => (1, |b| f32::from(b[0])),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn array(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let len = (header.len() as u16).to_le_bytes();
        [
            b"\x93NUMPY\x01\x00".as_slice(),
            &len,
            header.as_bytes(),
            data,
        ]
        .concat()
    }

    #[test]
    fn numbers_and_shapes_are_read() {
        let doubles: Vec<u8> = [1.5_f64, -2.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let found = parse(&array("<f8", "False", "(2, 1)", &doubles));
        assert_eq!(found, Ok((vec![2, 1], vec![1.5, -2.0])));
        let found = parse(&array("|b1", "False", "(3,)", &[1, 0, 1]));
        assert_eq!(found, Ok((vec![3], vec![1.0, 0.0, 1.0])));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let cases = [
            (array("<f4", "True", "(2, 2)", &[0; 16]), "column by column"),
            (array("<c8", "False", "(2,)", &[0; 16]), "the type <c8"),
            (array("<f4", "False", "(3,)", &[0; 16]), "16 bytes"),
            (array("<f4", "False", "(x,)", &[0; 16]), "shape"),
            (b"\x93NUMPY\x01\x00\xff\xff".to_vec(), "ends in its header"),
        ];
        for (bytes, part) in cases {
            let error = parse(&bytes).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
