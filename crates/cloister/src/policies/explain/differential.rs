//! A hundred thousand random requests under random policies: what is explained is what the enforcing code does, by the same rule.

use super::*;
use crate::egress::judged::Proxy;
use cloister_core::Principal;
use cloister_core::error::Error;
use cloister_core::session::{
    Backends, Interpreters, InvokeOptions, ManagerConfig, SessionManager, StartSession,
};
use cloister_core::store::Store;
use cloister_core::testing::{FakeBackend, MemoryStore};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// The same numbers in each run, so that a failure can be met again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Each with one chance in three.
    fn some(&mut self, of: &[&str]) -> Vec<String> {
        of.iter().filter(|_| self.below(3) == 0).map(|&text| text.to_owned()).collect()
    }

    fn address(&mut self) -> IpAddr {
        const KNOWN: [&str; 14] = [
            "8.8.8.8",
            "10.1.2.3",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.168.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "::1",
            "fe80::1",
            "2606:4700::1111",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
        ];
        match self.below(4) {
            0 => IpAddr::V4(Ipv4Addr::from_bits(self.next() as u32)),
            1 => IpAddr::V6(Ipv6Addr::from_bits(u128::from(self.next()) << 64 | u128::from(self.next()))),
            _ => self.one(&KNOWN).parse().unwrap(),
        }
    }

    /// What a guest asks the proxy for, often nonsense.
    fn destination(&mut self) -> String {
        const NAMES: [&str; 20] = [
            "example.com",
            "EXAMPLE.com",
            "example.com.",
            "a.example.com",
            "b.a.example.com",
            "notexample.com",
            "evil.example.com",
            "other.org",
            "intranet",
            "localhost",
            "x.localhost",
            "metadata.google.internal",
            "instance-data",
            "127.1",
            "0x7f.1",
            "2130706433",
            "user@example.com",
            "exa mple.com",
            "",
            "xn--bcher-kva.example",
        ];
        let host = match (self.below(3), self.address()) {
            (0, IpAddr::V4(address)) => address.to_string(),
            (0, IpAddr::V6(address)) => format!("[{address}]"),
            _ => (*self.one(&NAMES)).to_owned(),
        };
        format!("{host}{}", self.one(&[":443", ":443", ":443", ":80", ":8443", ":22", ":0", ":65536", ""]))
    }

    fn network(&mut self) -> Network {
        const DOMAINS: [&str; 6] =
            ["example.com", "*.example.com", "evil.example.com", "other.org", "intranet", "*.a.example.com"];
        const RANGES: [&str; 9] = [
            "10.0.0.0/8",
            "8.8.8.0/24",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "192.168.0.0/16",
            "::1/128",
            "2606:4700::/32",
            "fe80::/10",
            "64:ff9b::/96",
        ];
        Network {
            mode: *self.one(&[
                NetworkMode::Open,
                NetworkMode::Allowlist,
                NetworkMode::Allowlist,
                NetworkMode::None,
            ]),
            allowed_domains: self.some(&DOMAINS),
            denied_domains: if self.below(2) == 0 { self.some(&DOMAINS) } else { Vec::new() },
            allowed_cidrs: if self.below(2) == 0 { self.some(&RANGES) } else { Vec::new() },
            denied_cidrs: if self.below(2) == 0 { self.some(&RANGES) } else { Vec::new() },
            ports: self.one(&[vec![443], vec![443, 80], vec![443, 80, 8443, 22]]).clone(),
            ..Policy::built_in("random").network
        }
    }
}

/// POL-10: the proxy that would carry the connection, asked for the same.
#[tokio::test]
async fn a_hundred_thousand_connections_are_explained_as_the_proxy_decides_them() {
    const POLICIES: usize = 400;
    const EACH: usize = 250;
    let mut random = Random(10);
    let mut rules = BTreeMap::<(bool, String), usize>::new();
    for _ in 0..POLICIES {
        let policy = Policy { network: random.network(), ..Policy::built_in("random") };
        let proxy = Proxy::new(&policy.network);
        for n in 0..EACH {
            let to = random.destination();
            let leads_to = (random.below(2) == 0).then(|| random.address());
            // The search for the narrowest change asks several times more and decides nothing: now and then is enough.
            let told = match question::ask(&policy.network, &to, leads_to) {
                Ok(verdict) if n % 10 > 0 => judged(verdict, Change::Nothing),
                _ => connect(&policy, &to, leads_to),
            };
            let done = proxy.decides(&to, leads_to).await;
            let asked = format!("{to:?} at {leads_to:?} under {:?}", policy.network);
            assert_eq!(told.allowed, done.is_ok(), "{asked}: {} by {}, {done:?}", told.why, told.rule);
            let rule = done.unwrap_or_else(|rule| rule);
            assert_eq!(told.rule, rule, "{asked}: {}", told.why);
            *rules.entry((told.allowed, told.rule)).or_default() += 1;
        }
    }
    // Every rule has decided often, or the requests were not random enough.
    for (allowed, rule) in [
        (true, "network.allowed_domains"),
        (true, "network.allowed_cidrs"),
        (true, "network.mode"),
        (false, "network.allowed_domains"),
        (false, "network.denied_domains"),
        (false, "network.allowed_cidrs"),
        (false, "network.denied_cidrs"),
        (false, "network.mode"),
        (false, "network.ports"),
        (false, "metadata-addresses"),
        (false, "proxy-only"),
    ] {
        let times = rules.get(&(allowed, rule.to_owned())).copied().unwrap_or_default();
        assert!(times > 100, "{rule} has decided {times} times: {rules:?}");
    }
}

/// POL-10: the session manager that would start the session and take the call.
#[tokio::test(start_paused = true)]
async fn lives_and_calls_are_explained_as_the_session_manager_takes_them() {
    let mut random = Random(11);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..60 {
        let mut policy = Policy::built_in("random");
        policy.languages.runtimes = random.some(&["python", "nodejs", "deno"]);
        policy.languages.shell = random.below(2) == 0;
        policy.time.session_max = Duration::from_secs(1 + random.next() % 28_800);
        policy.time.session_default = policy.time.session_max.min(Duration::from_secs(60));
        let policy = Arc::new(policy);
        let manager = SessionManager::new(
            Backends::default().with_code(FakeBackend::new()),
            Arc::new(MemoryStore::new()) as Arc<dyn Store>,
            Interpreters::new([("i".to_owned(), Arc::clone(&policy))]),
            ManagerConfig::default(),
        );
        let who = Principal::local();
        let start = |life| {
            let request = StartSession {
                interpreter: "i".into(),
                key: "i".into(),
                timeout: life,
                ..StartSession::default()
            };
            manager.start(&who, request)
        };
        let mut agree = |told: &Ruled, done: Result<(), Error>| {
            assert_eq!(told.allowed, done.is_ok(), "{}: {done:?}", told.why);
            match done {
                Ok(()) => taken += 1,
                Err(error) => {
                    refused += 1;
                    assert!(error.message.contains(&told.rule), "{} is not in {error}", told.rule);
                }
            }
        };
        for _ in 0..10 {
            let span = Duration::from_secs(random.next() % 40_000);
            agree(&timeout(&policy, span), start(Some(span)).await.map(drop));
        }
        let id = start(None).await.unwrap().id;
        let shell = ToolCall::ExecuteCommand { command: "print x".into() };
        for asked in [run(Runtime::Python), run(Runtime::Nodejs), run(Runtime::Deno), shell] {
            let told = call(&policy, &asked);
            let done = manager.invoke(&who, None, &id, asked, InvokeOptions::default()).await;
            agree(&told, done.map(drop));
        }
    }
    assert!(taken > 200 && refused > 200, "{taken} {refused}");
}
