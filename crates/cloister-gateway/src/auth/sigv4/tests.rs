//! The algorithm against AWS's published examples and botocore's signatures, and the parser against everything else.

use super::super::Denied;
use super::parse::{Claim, Payload};
use super::{EMPTY, Target, hex};
use crate::percent::decode_query;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// The secret of AWS's examples.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// `date -u -d 2026-01-31T12:34:56Z +%s`
const SIGNED_AT: u64 = 1_769_862_896;

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let header = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
    };
    list.iter().map(header).collect()
}

fn text(denied: Denied) -> String {
    match denied {
        Denied::Unauthenticated(text) => text,
        Denied::Other(refusal) => panic!("{refusal:?}"),
    }
}

/// Whether a request whose last header is its Authorization carries a good signature.
fn good(method: &str, uri: &str, list: &[(&str, &str)], body: &str) -> Result<bool, String> {
    let headers = headers(list);
    let value = list.last().unwrap().1;
    let claim = Claim::of_header(value.strip_prefix("AWS4-HMAC-SHA256 ").unwrap(), &headers).map_err(text)?;
    let (method, uri): (Method, Uri) = (method.parse().unwrap(), uri.parse().unwrap());
    claim.verify(SECRET, &Target::of(&method, &uri, &headers), &hex(&Sha256::digest(body))).map_err(text)
}

/// One of AWS's examples: the account, the date and the region of its test suite.
fn example(
    method: &str,
    uri: &str,
    host: &str,
    more: &[(&str, &str)],
    signed: &str,
    body: &str,
    signature: &str,
) -> bool {
    let service = if host.starts_with("iam") { "iam" } else { "service" };
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, SignedHeaders={signed}, Signature={signature}"
    );
    let mut list = vec![("host", host), ("x-amz-date", "20150830T123600Z")];
    list.extend(more);
    list.push(("authorization", &authorization));
    good(method, uri, &list, body).unwrap()
}

const SUITE: &str = "example.amazonaws.com";
const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn the_published_examples_of_the_algorithm_are_good() {
    let plain = "host;x-amz-date";
    for (method, uri, host, more, signed, body, signature) in [
        (
            "GET",
            "/",
            SUITE,
            &[][..],
            plain,
            "",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            SUITE,
            &[],
            plain,
            "",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "POST",
            "/",
            SUITE,
            &[],
            plain,
            "",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "GET",
            "/",
            SUITE,
            &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
            "host;my-header1;my-header2;x-amz-date",
            "",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "POST",
            "/",
            SUITE,
            &[("content-type", FORM)],
            "content-type;host;x-amz-date",
            "Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            "GET",
            "/?Action=ListUsers&Version=2010-05-08",
            "iam.amazonaws.com",
            &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
            "content-type;host;x-amz-date",
            "",
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ] {
        assert!(example(method, uri, host, more, signed, body, signature), "{method} {uri} {signed}");
        let other = if signature.starts_with('0') { '1' } else { '0' };
        let wrong = format!("{other}{}", &signature[1..]);
        assert!(!example(method, uri, host, more, signed, body, &wrong), "{method} {uri}");
    }
}

/// What botocore 1.44.5 made of three requests to a server on loopback.
const KEY: &str = "CLOIEXAMPLEKEY0123456789";
const ARN: &str = "/code-interpreters/arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3Aaws%3Acode-interpreter%2Faws.codeinterpreter.v1/sessions/start";

fn botocore(signed: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={KEY}/20260131/us-west-2/bedrock-agentcore/aws4_request, SignedHeaders={signed}, Signature={signature}"
    )
}

fn start(body: &str, uri: &str, content: &str) -> Result<bool, String> {
    let authorization = botocore(
        "content-type;host;x-amz-date",
        "f1db81f35854de0914e55445f291f49f4ceef4031ab9114cd4cb5921df8b0455",
    );
    let list = [
        ("host", "127.0.0.1:8484"),
        ("content-type", content),
        ("x-amz-date", "20260131T123456Z"),
        ("authorization", &authorization),
    ];
    good("PUT", uri, &list, body)
}

#[test]
fn what_botocore_signs_is_good_and_nothing_of_it_can_be_changed() {
    assert_eq!(start("{\"name\":\"x\"}", ARN, "application/json"), Ok(true));
    assert_eq!(start("{\"name\":\"y\"}", ARN, "application/json"), Ok(false));
    assert_eq!(start("{\"name\":\"x\"}", &ARN.replace("start", "stop"), "application/json"), Ok(false));
    assert_eq!(start("{\"name\":\"x\"}", &format!("{ARN}?a=b"), "application/json"), Ok(false));
    assert_eq!(start("{\"name\":\"x\"}", ARN, "text/plain"), Ok(false));
    let authorization =
        botocore("host;x-amz-date", "57413f413438e349342d62ee14248a7d7b13147a59835dc39766b7b780f161f2");
    let list = [
        ("host", "127.0.0.1:8484"),
        ("x-amz-date", "20260131T123456Z"),
        ("authorization", authorization.as_str()),
    ];
    let get =
        "/code-interpreters/aws.codeinterpreter.v1/sessions/get?sessionId=01K00Z3F8WZ9KBBW4QGRJCVBHH&a=%20b";
    assert_eq!(good("GET", get, &list, ""), Ok(true));
    assert_eq!(good("HEAD", get, &list, ""), Ok(false));
    assert_eq!(good("GET", &get.replace("BHH", "BHJ"), &list, ""), Ok(false));
}

const PRESIGNED: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=CLOIEXAMPLEKEY0123456789%2F20260131%2Fus-west-2%2F\
                         bedrock-agentcore%2Faws4_request&X-Amz-Date=20260131T123456Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host&\
                         X-Amz-Signature=158e04aa0bb55058b4f5683b865c98981ce34c8436b7da6f8dd32f23763230d4";

fn presigned(query: &str, host: &str) -> Result<bool, String> {
    let claim = Claim::of_query(&decode_query(query).unwrap()).map_err(text)?;
    let uri =
        format!("/browser-streams/aws.browser.v1/sessions/01K00Z3F8WZ9KBBW4QGRJCVBHH/live-view?{query}");
    let (method, uri, headers) = (Method::GET, uri.parse().unwrap(), headers(&[("host", host)]));
    claim.verify(SECRET, &Target::of(&method, &uri, &headers), EMPTY).map_err(text)
}

#[test]
fn a_url_that_botocore_presigned_is_good_and_only_as_it_is() {
    assert_eq!(presigned(PRESIGNED, "127.0.0.1:8484"), Ok(true));
    assert_eq!(presigned(PRESIGNED, "127.0.0.1:8485"), Ok(false));
    assert_eq!(presigned(&PRESIGNED.replace("Expires=300", "Expires=299"), "127.0.0.1:8484"), Ok(false));
    assert_eq!(presigned(&format!("{PRESIGNED}&role=view"), "127.0.0.1:8484"), Ok(false));
    for part in PRESIGNED.split('&') {
        let without: Vec<_> = PRESIGNED.split('&').filter(|other| *other != part).collect();
        assert!(presigned(&without.join("&"), "127.0.0.1:8484").is_err(), "{part}");
        assert!(presigned(&format!("{PRESIGNED}&{part}"), "127.0.0.1:8484").is_err(), "{part}");
    }
}

fn checked(query: &str, now: u64) -> Result<(), String> {
    Claim::of_query(&decode_query(query).unwrap()).and_then(|claim| claim.check(now)).map_err(text)
}

#[test]
fn a_presigned_url_is_good_for_its_time() {
    for now in [SIGNED_AT - 300, SIGNED_AT, SIGNED_AT + 299] {
        assert_eq!(checked(PRESIGNED, now), Ok(()));
    }
    assert!(checked(PRESIGNED, SIGNED_AT + 300).unwrap_err().starts_with("Signature expired"));
    assert!(checked(PRESIGNED, SIGNED_AT - 301).unwrap_err().starts_with("Signature not yet current"));
    for (from, to) in [
        ("Expires=300", "Expires=301"),
        ("Expires=300", "Expires=0"),
        ("Expires=300", "Expires=-1"),
        ("Expires=300", "Expires=99999999999999999999"),
        ("Algorithm=AWS4-HMAC-SHA256", "Algorithm=AWS4-ECDSA-P256-SHA256"),
        ("T123456Z", "T123456"),
        ("20260131T", "20261331T"),
        ("Date=20260131T", "Date=20260130T"),
        ("bedrock-agentcore", "s3"),
        ("%2Faws4_request", ""),
        ("SignedHeaders=host", "SignedHeaders=x-other"),
        ("SignedHeaders=host", "SignedHeaders="),
    ] {
        assert!(PRESIGNED.contains(from), "{from}");
        assert!(checked(&PRESIGNED.replace(from, to), SIGNED_AT).is_err(), "{to}");
    }
}

#[test]
fn a_signed_header_is_good_five_minutes_either_way_and_says_what_is_wrong_with_the_clock() {
    let authorization = botocore("host;x-amz-date", &"0".repeat(64));
    let headers = headers(&[("x-amz-date", "20260131T123456Z")]);
    let claim = Claim::of_header(authorization.strip_prefix("AWS4-HMAC-SHA256 ").unwrap(), &headers).unwrap();
    let check = |now| claim.check(now).map_err(text);
    assert_eq!((check(SIGNED_AT + 299), check(SIGNED_AT - 300)), (Ok(()), Ok(())));
    assert!(check(SIGNED_AT + 300).unwrap_err().contains("clock"));
    assert!(check(SIGNED_AT - 301).unwrap_err().contains("clock"));
}

#[test]
fn a_header_that_is_not_exactly_one_is_refused() {
    let good = botocore("host;x-amz-date", &"0".repeat(64));
    let rest = good.strip_prefix("AWS4-HMAC-SHA256 ").unwrap();
    let dated = headers(&[("x-amz-date", "20260131T123456Z")]);
    assert!(Claim::of_header(rest, &dated).is_ok());
    for (from, to) in [
        ("Credential=", "credential="),
        ("/aws4_request", "/aws4_request/x"),
        ("/aws4_request", ""),
        ("/20260131/", "/2026/"),
        (KEY, ""),
        (KEY, "../x"),
        ("host;x-amz-date", "x-amz-date"),
        ("host;x-amz-date", "host"),
        ("host;x-amz-date", "x-amz-date;host"),
        ("host;x-amz-date", "host;host;x-amz-date"),
        ("host;x-amz-date", "Host;x-amz-date"),
        ("host;x-amz-date", "host; x-amz-date"),
        ("Signature=0", "Signature=F"),
        ("Signature=00", "Signature="),
        ("Signature=", "Signature=0"),
        (", Signature=", ", Other=x, Signature="),
        (", Signature=", ", SignedHeaders=host, Signature="),
    ] {
        assert!(rest.contains(from), "{from}");
        assert!(Claim::of_header(&rest.replace(from, to), &dated).is_err(), "{to}");
    }
    assert!(Claim::of_header(rest, &HeaderMap::new()).is_err());
    let mut twice = dated.clone();
    twice.append("x-amz-date", "20260131T123456Z".parse().unwrap());
    assert!(Claim::of_header(rest, &twice).is_err());
}

#[test]
fn a_declared_hash_is_a_hash_or_the_word_for_none() {
    let declared = |value: &str| Payload::declared(&headers(&[("x-amz-content-sha256", value)]));
    assert_eq!(declared(EMPTY).unwrap().unwrap().text(), EMPTY);
    assert_eq!(declared("UNSIGNED-PAYLOAD").unwrap(), Some(Payload::Unsigned));
    assert_eq!(Payload::declared(&HeaderMap::new()).unwrap(), None);
    for bad in
        ["", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "unsigned-payload", &EMPTY.to_uppercase(), &EMPTY[1..]]
    {
        assert!(declared(bad).is_err(), "{bad}");
    }
}

proptest! {
    /// Whatever a stranger sends: an answer, and never a signature that is good.
    #[test]
    fn no_text_makes_the_parser_fall_over_or_a_signature_good(
        rest in "\\PC{0,300}",
        path in "/[ -~&&[^#?]]{0,60}",
        query in "[ -~&&[^#]]{0,120}",
    ) {
        let dated = headers(&[("x-amz-date", "20260131T123456Z"), ("host", "localhost")]);
        let _ = Claim::of_header(&rest, &dated);
        if let Some(pairs) = decode_query(&query) {
            let _ = Claim::of_query(&pairs);
        }
        if let Ok(uri) = format!("{path}?{query}").parse::<Uri>() {
            let authorization = botocore("host;x-amz-date", &"0".repeat(64));
            let claim = Claim::of_header(authorization.strip_prefix("AWS4-HMAC-SHA256 ").unwrap(), &dated).unwrap();
            prop_assert!(!matches!(claim.verify(SECRET, &Target::of(&Method::GET, &uri, &dated), EMPTY), Ok(true)));
        }
    }

    /// Texts that are nearly right, which a wholly random one never is.
    #[test]
    fn a_mutilated_header_is_refused_or_means_the_same(at in 0usize..220, byte in 0x20u8..0x7f) {
        let good = botocore("host;x-amz-date", &"ab".repeat(32));
        let rest = good.strip_prefix("AWS4-HMAC-SHA256 ").unwrap();
        let dated = headers(&[("x-amz-date", "20260131T123456Z"), ("host", "localhost")]);
        let original = Claim::of_header(rest, &dated).unwrap();
        let mut bytes = rest.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let mutilated = String::from_utf8(bytes).unwrap();
        if let Ok(claim) = Claim::of_header(&mutilated, &dated) {
            let blank = rest.as_bytes()[at] == b' ' || byte == rest.as_bytes()[at];
            prop_assert!(claim != original || blank, "{mutilated}");
        }
    }
}
