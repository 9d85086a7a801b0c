//! AWS's presigned form of a live view URL, as `BrowserClient.generate_live_view_url()` makes it.
//!
//! It means here what the Authorization header of AWS clients means: the access key id is the token, and the signature is
//! not verified (`auth/mod.rs`). What is checked is that it is complete and that its time is not over.

use super::signature::{Bad, one};

/// Longest life that AWS allows for such a URL, in seconds.
const LONGEST: u64 = 300;
/// How far a client's clock may be ahead, as AWS has it.
const AHEAD: u64 = 300;

/// Whether a query tries to be a presigned one.
pub(super) fn is_presigned(pairs: &[(String, String)]) -> bool {
    pairs.iter().any(|(name, _)| name == "X-Amz-Algorithm" || name == "X-Amz-Signature")
}

/// The access key id of a presigned query that is good at the time `now`.
pub(super) fn access_key(pairs: &[(String, String)], now: u64) -> Result<&str, Bad> {
    let part = |name| one(pairs, name).filter(|value| !value.is_empty()).ok_or(Bad::Wrong);
    part("X-Amz-SignedHeaders")?;
    part("X-Amz-Signature")?;
    if part("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
        return Err(Bad::Wrong);
    }
    let signed_at = seconds(part("X-Amz-Date")?).ok_or(Bad::Wrong)?;
    let life: u64 = part("X-Amz-Expires")?.parse().map_err(|_| Bad::Wrong)?;
    if !(1..=LONGEST).contains(&life) || signed_at > now + AHEAD {
        return Err(Bad::Wrong);
    }
    let (id, _) = part("X-Amz-Credential")?.split_once('/').ok_or(Bad::Wrong)?;
    if signed_at + life <= now { Err(Bad::Expired) } else { Ok(id) }
}

/// `20260131T123456Z` in seconds since 1970, after Howard Hinnant's `days_from_civil`.
fn seconds(text: &str) -> Option<u64> {
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
    use crate::percent::decode_query;

    const GOOD: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=key%2F20260131%2Fus-west-2%2Fbedrock-agentcore%2F\
                        aws4_request&X-Amz-Date=20260131T123456Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature=00";
    /// `date -u -d 2026-01-31T12:34:56Z +%s`
    const SIGNED_AT: u64 = 1_769_862_896;

    fn key(query: &str, now: u64) -> Result<String, Bad> {
        access_key(&decode_query(query).unwrap(), now).map(str::to_owned)
    }

    #[test]
    fn a_presigned_url_is_good_for_its_time() {
        assert_eq!(key(GOOD, SIGNED_AT).as_deref(), Ok("key"));
        assert_eq!(key(GOOD, SIGNED_AT + 299).as_deref(), Ok("key"));
        assert_eq!(key(GOOD, SIGNED_AT + 300), Err(Bad::Expired));
        assert_eq!(key(GOOD, SIGNED_AT - 300).as_deref(), Ok("key"));
        assert_eq!(key(GOOD, SIGNED_AT - 301), Err(Bad::Wrong));
    }

    #[test]
    fn a_presigned_url_that_is_incomplete_or_too_long_lived_is_wrong() {
        for part in GOOD.split('&') {
            let without: Vec<_> = GOOD.split('&').filter(|other| *other != part).collect();
            assert_eq!(key(&without.join("&"), SIGNED_AT), Err(Bad::Wrong), "{part}");
            assert_eq!(key(&format!("{GOOD}&{part}"), SIGNED_AT), Err(Bad::Wrong), "{part}");
        }
        for (from, to) in [
            ("Expires=300", "Expires=301"),
            ("Expires=300", "Expires=0"),
            ("Expires=300", "Expires=-1"),
            ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
            ("T123456Z", "T123456"),
            ("20260131T", "20261331T"),
            ("key%2F20260131%2Fus-west-2%2Fbedrock-agentcore%2Faws4_request", "key"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            assert_eq!(key(&GOOD.replace(from, to), SIGNED_AT), Err(Bad::Wrong), "{to}");
        }
    }

    #[test]
    fn dates_are_read_as_other_programs_read_them() {
        for (text, expected) in
            [("19700101T000000Z", 0), ("20000229T123456Z", 951_827_696), ("20251231T235959Z", 1_767_225_599)]
        {
            assert_eq!(seconds(text), Some(expected));
        }
    }
}
