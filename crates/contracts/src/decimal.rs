//! Reads the text of a JSON number without a float in between.

/// Why a text is not a whole number of hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    NotANumber,
    Negative,
    /// It has a part smaller than a hundredth.
    TooFine,
    /// It has more digits than were allowed.
    TooLong,
}

/// The value of `text`, a number in JSON's grammar (RFC 8259 section 6), in hundredths; at most
/// `max_digits` (18 or fewer) digits of hundredths. `5.998e1` and `59.980` are 5998.
pub(crate) fn hundredths(text: &str, max_digits: usize) -> Result<i64, Fault> {
    let number = split(text).ok_or(Fault::NotANumber)?;
    let digits: String = [number.whole, number.fraction].concat();
    let significant = digits.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    if trimmed.is_empty() {
        return Ok(0);
    }
    if number.negative {
        return Err(Fault::Negative);
    }
    // How many zeros stand behind `trimmed` when it counts hundredths. The exponent is clamped
    // far outside what can be valid, so these sums cannot overflow for any text in memory.
    let dropped = (significant.len() - trimmed.len()) as i64;
    let zeros = number.exponent + 2 + dropped - number.fraction.len() as i64;
    if zeros < 0 {
        return Err(Fault::TooFine);
    }
    if trimmed.len() as i64 + zeros > max_digits as i64 {
        return Err(Fault::TooLong);
    }
    let unscaled: i64 = trimmed.parse().map_err(|_| Fault::TooLong)?;
    10_i64
        .checked_pow(zeros as u32)
        .and_then(|scale| unscaled.checked_mul(scale))
        .ok_or(Fault::TooLong)
}

struct Number<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

fn split(text: &str) -> Option<Number<'_>> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (rest, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    (!whole.is_empty() && !leading_zero && is_digits(whole) && is_digits(fraction)).then_some(
        Number {
            negative,
            whole,
            fraction,
            exponent,
        },
    )
}

fn parse_exponent(text: &str) -> Option<i64> {
    const CLAMP: i64 = i64::MAX / 4;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !is_digits(digits) {
        return None;
    }
    let size = digits.parse::<i64>().map_or(CLAMP, |size| size.min(CLAMP));
    Some(if negative { -size } else { size })
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{Fault, hundredths};

    #[test]
    fn reads_json_numbers_exactly() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("-0.00e7", 0),
            ("59.98", 5998),
            ("59.980000", 5998),
            ("60", 6000),
            ("5.998e1", 5998),
            ("5998E-2", 5998),
            ("0.01", 1),
            ("1e3", 100_000),
            ("100000e-3", 10_000),
            ("0e999999999999999999999", 0),
            ("9999999999999.99", 999_999_999_999_999),
        ] {
            assert_eq!(hundredths(text, 15), Ok(value), "{text}");
        }
    }

    #[test]
    fn says_why_a_text_is_refused() {
        for text in [
            "", "-", "+1", "01", "1.", ".5", "1e", "1e+", "NaN", "1 ", "\"1\"", "0x10", "1.2.3",
            "1e1.0", "١",
        ] {
            assert_eq!(hundredths(text, 15), Err(Fault::NotANumber), "{text}");
        }
        for text in [
            "0.001",
            "59.981",
            "1e-3",
            "29.990000000000000001",
            "1e-999999999999999999999999",
        ] {
            assert_eq!(hundredths(text, 15), Err(Fault::TooFine), "{text}");
        }
        for text in ["10000000000000", "1e14", "1e999999999999999999999999"] {
            assert_eq!(hundredths(text, 15), Err(Fault::TooLong), "{text}");
        }
        assert_eq!(hundredths("-0.01", 15), Err(Fault::Negative));
    }
}
