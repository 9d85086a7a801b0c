//! Where a secret of the configuration would go, asked without its value.

use super::{SecretConfig, place};
use crate::egress::host::parse;

impl SecretConfig {
    /// Where the value may go, as the configuration says it.
    pub(crate) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Whether requests to `host` (a name or an address, with a port or without) get the value; an error is one of the configuration.
    pub(crate) fn goes_to(&self, host: &str) -> Result<bool, String> {
        let Ok(to) = parse(host.as_bytes(), Some(443)) else { return Ok(false) };
        let places = self.hosts.iter().map(|text| place(text)).collect::<Result<Vec<_>, _>>()?;
        Ok(places.iter().any(|place| place.covers(&to.host)))
    }

    /// The header that every request gets, if it is not a placeholder that becomes the value.
    pub(crate) fn header(&self) -> Option<&str> {
        Some(self.inject.as_str()).filter(|name| !name.eq_ignore_ascii_case("placeholder"))
    }
}
