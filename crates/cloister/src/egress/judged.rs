//! What the proxy itself decides about a connection, up to where it would dial: for the comparison with what is explained.

use super::dial::{DialError, Dialer, Resolve};
use super::host::{Host, parse};
use super::meter::Meter;
use super::rules::Rules;
use super::upstream::Upstreams;
use async_trait::async_trait;
use cloister_core::policy::Network;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// A resolver that says of every name what it was told to.
#[derive(Default)]
struct Told(Mutex<Vec<IpAddr>>);

#[async_trait]
impl Resolve for Told {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(cloister_core::lock::lock(&self.0).clone())
    }
}

/// The proxy of one session.
pub(crate) struct Proxy {
    dialer: Dialer,
    told: Arc<Told>,
    meter: Meter,
}

impl Proxy {
    pub(crate) fn new(network: &Network) -> Self {
        let told = Arc::<Told>::default();
        let resolver = Arc::clone(&told) as Arc<dyn Resolve>;
        let (loopback, upstreams) = (Arc::default(), Upstreams::default());
        let dialer = Dialer { rules: Rules::compile(network).unwrap(), loopback, upstreams, resolver };
        Self { dialer, told, meter: Meter::of(1) }
    }

    /// The rule that lets a connection through, or that refuses it. Without an address, a name alone is judged.
    pub(crate) async fn decides(
        &self,
        to: &str,
        leads_to: Option<IpAddr>,
    ) -> Result<&'static str, &'static str> {
        let Ok(to) = parse(to.as_bytes(), None) else { return Err("proxy-only") };
        let rule = self.dialer.rules.admit(&to).map_err(|refusal| refusal.rule())?;
        if leads_to.is_none() && matches!(to.host, Host::Name(_)) {
            return Ok(rule);
        }
        *cloister_core::lock::lock(&self.told.0) = leads_to.into_iter().collect();
        match self.dialer.judged(&self.meter, &to).await {
            Ok(addresses) if !addresses.is_empty() => Ok(rule),
            Err(DialError::Refused(refusal)) => Err(refusal.rule()),
            other => panic!("{to}: {other:?}"),
        }
    }
}
