//! Numbers of bytes in arguments.

/// A number of bytes, such as `512MiB` or `2GB`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim() {
        "" | "B" => 1,
        "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err("write a number and a unit, such as 512MiB or 2GB".into()),
    };
    let number: usize = number.parse().map_err(|_| "write a number and a unit, such as 512MiB or 2GB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "that is more than this machine can count".into())
}
