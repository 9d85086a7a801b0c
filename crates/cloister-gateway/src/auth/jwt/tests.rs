//! Tokens signed here with keys of all three kinds, and every way to make one that is not good.

use super::super::now;
use super::*;
use ::ring::rand::SystemRandom;
use ::ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// An RSA key of 2048 bits, made for this test by `openssl genrsa` (DER of PKCS#1, base64); ring makes none.
const RSA: &str = include_str!("test-rsa-key.txt");

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Signer {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    fn all() -> [Self; 3] {
        let random = SystemRandom::new();
        let der: String = RSA.split_whitespace().collect();
        let der = base64::engine::general_purpose::STANDARD.decode(der).unwrap();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        [
            Self::Rsa(RsaKeyPair::from_der(&der).unwrap()),
            Self::Ec(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap(),
            ),
            Self::Ed(Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap()),
        ]
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let public = ::ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({ "kty": "RSA", "kid": id, "use": "sig", "alg": "RS256", "n": encode(public.n), "e": encode(public.e) })
            }
            Self::Ec(key) => {
                let public = key.public_key().as_ref();
                json!({ "kty": "EC", "kid": id, "crv": "P-256", "x": encode(&public[1..33]), "y": encode(&public[33..]) })
            }
            Self::Ed(key) => {
                json!({ "kty": "OKP", "kid": id, "crv": "Ed25519", "x": encode(key.public_key()) })
            }
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", encode(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": self.algorithm(), "typ": "JWT", "kid": self.algorithm() }), claims)
    }
}

fn settings() -> IssuerSettings {
    IssuerSettings {
        issuer: "https://id.example".into(),
        audience: vec!["cloister".into()],
        name_claim: "sub".into(),
        tenant: Tenant::Claim("tenant".into()),
        roles_claim: "roles".into(),
        roles: BTreeMap::new(),
    }
}

fn issuer(settings: IssuerSettings, signers: &[Signer]) -> Issuer {
    let issuer = Issuer::new(settings);
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk(signer.algorithm())).collect();
    issuer.set_keys(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    issuer
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": ["cloister", "other"], "sub": "ann", "tenant": "acme", "roles": ["user", "unknown"],
        "exp": now() + 300, "nbf": now() - 10, "iat": now(),
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

#[test]
fn a_token_of_each_algorithm_speaks_for_the_caller_that_it_names() {
    let signers = Signer::all();
    let issuer = issuer(settings(), &signers);
    for signer in &signers {
        let caller = issuer.caller(&signer.token(&claims())).unwrap();
        assert_eq!((caller.principal.tenant.as_str(), caller.principal.name.as_str()), ("acme", "ann"));
        assert_eq!((caller.roles, caller.key), (vec![Role::User], None));
        assert!(caller.expires.unwrap() > now());
    }
}

#[test]
fn claims_that_are_missing_wrong_or_of_another_type_make_a_token_bad() {
    let signers = Signer::all();
    let issuer = issuer(settings(), &signers);
    for (name, values) in [
        ("iss", vec![json!("https://id.example/"), json!(["https://id.example"]), json!(null), json!(1)]),
        ("aud", vec![json!("other"), json!([]), json!(null), json!({ "cloister": 1 })]),
        ("exp", vec![json!(now() - 60), json!("9999999999"), json!(null), json!(-1), json!(true)]),
        ("nbf", vec![json!(now() + 60), json!("0"), json!([])]),
        ("sub", vec![json!(""), json!(null), json!(1), json!("a\nb"), json!("x".repeat(200))]),
        ("tenant", vec![json!("local"), json!(""), json!(null), json!(["acme"])]),
    ] {
        for value in values {
            let token = signers[1].token(&with(name, value.clone()));
            assert!(issuer.caller(&token).is_none(), "{name}: {value}");
        }
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        assert_eq!(issuer.caller(&signers[1].token(&without)).is_some(), name == "nbf", "{name}");
    }
    // Without a role there is a caller, who may do nothing.
    for roles in [json!(null), json!(["admin "]), json!({ "admin": true }), json!(["ADMIN"])] {
        assert_eq!(issuer.caller(&signers[1].token(&with("roles", roles))).unwrap().roles, []);
    }
}

#[test]
fn a_token_does_not_choose_its_algorithm() {
    let signers = Signer::all();
    let issuer = issuer(settings(), &signers);
    let body = encode(claims().to_string());
    for (alg, signature) in
        [("none", ""), ("None", ""), ("HS256", "AAAA"), ("HS256", ""), ("RS512", "AAAA"), ("PS256", "AAAA")]
    {
        for kid in ["RS256", "ES256", "EdDSA"] {
            let token =
                format!("{}.{body}.{signature}", encode(json!({ "alg": alg, "kid": kid }).to_string()));
            assert!(issuer.caller(&token).is_none(), "{alg} {kid}");
        }
    }
    // Signed with the public key as if it were a secret: the classic.
    let hmac = {
        use hmac::{Hmac, KeyInit, Mac};
        let head = encode(json!({ "alg": "HS256", "kid": "EdDSA" }).to_string());
        let Signer::Ed(key) = &signers[2] else { panic!() };
        let mac = Hmac::<sha2::Sha256>::new_from_slice(key.public_key().as_ref()).unwrap();
        let message = format!("{head}.{body}");
        format!("{message}.{}", encode(mac.chain_update(message.as_bytes()).finalize().into_bytes()))
    };
    assert!(issuer.caller(&hmac).is_none());
    // The right signature under another key's name, or another algorithm's.
    let ec = |header: Value| signers[1].sign(&header, &claims());
    assert!(issuer.caller(&ec(json!({ "alg": "ES256", "kid": "RS256" }))).is_none());
    assert!(issuer.caller(&ec(json!({ "alg": "EdDSA", "kid": "ES256" }))).is_none());
    assert!(issuer.caller(&ec(json!({ "alg": "ES256", "kid": "nobody" }))).is_none());
    assert!(
        issuer.caller(&ec(json!({ "alg": "ES256" }))).is_some(),
        "the only key of its kind needs no name"
    );
}

#[test]
fn nothing_of_a_token_can_be_changed_and_nobody_elses_key_signs_one() {
    let (signers, others) = (Signer::all(), Signer::all());
    let issuer = issuer(settings(), &signers);
    for (signer, other) in signers.iter().zip(&others).skip(1) {
        assert!(issuer.caller(&other.token(&claims())).is_none());
        let token = signer.token(&claims());
        let parts: Vec<&str> = token.split('.').collect();
        let forged = encode(with("sub", json!("bob")).to_string());
        assert!(issuer.caller(&format!("{}.{forged}.{}", parts[0], parts[2])).is_none());
        for bad in [
            format!("{token}."),
            format!("{token}A"),
            format!(".{token}"),
            parts[..2].join("."),
            String::new(),
            "..".into(),
        ] {
            assert!(issuer.caller(&bad).is_none(), "{bad}");
        }
    }
    assert!(issuer.caller(&"x.".repeat(LONGEST)).is_none());
}

#[test]
fn the_operator_says_what_claims_and_words_mean() {
    let signers = Signer::all();
    let settings = IssuerSettings {
        tenant: Tenant::Fixed("corp".into()),
        name_claim: "email".into(),
        roles_claim: "/realm_access/roles".into(),
        roles: BTreeMap::from([("sandbox admins".into(), Role::Admin), ("staff".into(), Role::Viewer)]),
        ..settings()
    };
    let issuer = issuer(settings, &signers);
    let mut claims = with("realm_access", json!({ "roles": ["staff", "admin", "sandbox admins"] }));
    claims["email"] = json!("ann@corp.example");
    let caller = issuer.caller(&signers[0].token(&claims)).unwrap();
    assert_eq!(
        (caller.principal.tenant.as_str(), caller.principal.name.as_str()),
        ("corp", "ann@corp.example")
    );
    assert_eq!(caller.roles, [Role::Viewer, Role::Admin]);
}

#[test]
fn a_key_set_without_a_usable_key_does_not_replace_one_with() {
    let signers = Signer::all();
    let issuer = issuer(settings(), &signers);
    let secret =
        json!({ "keys": [{ "kty": "oct", "k": "AAAA", "kid": "ES256", "alg": "HS256" }] }).to_string();
    let mut encryption = signers[1].jwk("ES256");
    encryption["use"] = json!("enc");
    let encryption = json!({ "keys": [encryption] }).to_string();
    for bad in ["", "{}", "{\"keys\":[]}", "[]", &secret, &encryption] {
        assert_eq!(issuer.set_keys(bad.as_bytes()), Err(BadKeySet), "{bad}");
    }
    assert!(issuer.caller(&signers[1].token(&claims())).is_some());
    let rotated = Signer::all();
    issuer.set_keys(json!({ "keys": [rotated[1].jwk("ES256")] }).to_string().as_bytes()).unwrap();
    assert!(issuer.caller(&signers[1].token(&claims())).is_none());
    assert!(issuer.caller(&rotated[1].token(&claims())).is_some());
}
