//! Several pictures on one sheet.

/// Puts SVG pictures beside each other, `columns` to a row; a row is as high as its highest picture.
///
/// Text that is not a picture of this crate (no `width` and `height` in its first tag) takes no room.
///
/// ```
/// use advect::plot::sheet;
/// let square = r#"<svg width="100" height="50" xmlns="http://www.w3.org/2000/svg"></svg>"#;
/// let three = sheet(&[square; 3], 2);
/// assert!(three.starts_with(r#"<svg width="200" height="100""#), "{three}");
/// assert!(three.contains(r#"<g transform="translate(100,0)">"#), "{three}");
/// ```
pub fn sheet(pictures: &[impl AsRef<str>], columns: usize) -> String {
    let (mut body, mut width, mut y) = (String::new(), 0, 0);
    for row in pictures.chunks(columns.max(1)) {
        let (mut x, mut height) = (0, 0);
        for picture in row.iter().map(AsRef::as_ref) {
            body += &format!("<g transform=\"translate({x},{y})\">\n{picture}\n</g>\n");
            x += attribute(picture, "width");
            height = height.max(attribute(picture, "height"));
        }
        width = width.max(x);
        y += height;
    }
    format!(
        "<svg width=\"{width}\" height=\"{y}\" viewBox=\"0 0 {width} {y}\" xmlns=\"http://www.w3.org/2000/svg\">\n{body}</svg>\n"
    )
}

/// A number in the first tag of a picture.
fn attribute(picture: &str, name: &str) -> u32 {
    let tag = picture.split('>').next().unwrap_or_default();
    let value = tag.split(&format!(" {name}=\"")).nth(1);
    let digits = value.and_then(|value| value.split('"').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
