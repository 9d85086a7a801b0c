//! The dates of AWS signatures.

/// `20260131T123456Z` in seconds since 1970, after Howard Hinnant's `days_from_civil`.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    const FORM: &[u8] = b"00000000T000000Z";
    let fits = |(byte, form): (u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form };
    if text.len() != FORM.len() || !text.bytes().zip(FORM).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    let sensible = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !sensible || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_other_programs_read_them() {
        for (text, expected) in [
            ("19700101T000000Z", 0),
            ("20000229T123456Z", 951_827_696),
            ("20251231T235959Z", 1_767_225_599),
            ("20260131T123456Z", 1_769_862_896),
        ] {
            assert_eq!(seconds(text), Some(expected));
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for bad in [
            "",
            "20260131",
            "20260131T123456",
            "20261331T123456Z",
            "20260131T243456Z",
            "2026013１T123456",
            "19690101T000000Z",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
