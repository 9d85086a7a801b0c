//! `proxyConfiguration`: from a request to [`Proxies`], and back into an answer.

use crate::json::Json;
use cloister_core::browser::{Proxies, UpstreamProxy};
use cloister_core::error::Field;
use serde::Serialize;

/// The proxies of a request that the tables have checked, with what is refused of them.
pub(super) fn read(configuration: &Json<'_>) -> (Proxies, Vec<Field>) {
    let mut refused = Vec::new();
    let mut upstream = Vec::new();
    for (index, proxy) in
        configuration.get("proxies").map(Json::entries).unwrap_or_default().iter().enumerate()
    {
        let Some(external) = proxy.get("externalProxy") else { continue };
        if external.get("credentials").is_some() {
            refused.push(Field {
                name: format!("proxyConfiguration.proxies[{index}].externalProxy.credentials"),
                message: "This server does not support this member: it would need AWS Secrets Manager. Use a proxy that \
                          knows this server by its address"
                    .into(),
            });
        }
        let port = external.get("port").and_then(Json::as_u64).and_then(|port| u16::try_from(port).ok());
        upstream.push(UpstreamProxy {
            server: external.get("server").and_then(Json::as_str).unwrap_or_default().to_owned(),
            port: port.unwrap_or_default(),
            domains: patterns(Some(external)),
        });
    }
    (Proxies { upstream, bypass: patterns(configuration.get("bypass")) }, refused)
}

fn patterns(of: Option<&Json<'_>>) -> Vec<String> {
    let list = of.and_then(|of| of.get("domainPatterns")).map(Json::entries).unwrap_or_default();
    list.iter().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// `ProxyConfiguration`.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    proxies: Vec<Proxy<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bypass: Option<Bypass<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Proxy<'a> {
    external_proxy: External<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct External<'a> {
    server: &'a str,
    port: u16,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    domain_patterns: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bypass<'a> {
    domain_patterns: &'a [String],
}

/// The same as an answer has it; `None` without proxies.
pub(super) fn show(proxies: &Proxies) -> Option<Shown<'_>> {
    (!proxies.upstream.is_empty()).then(|| Shown {
        proxies: proxies
            .upstream
            .iter()
            .map(|UpstreamProxy { server, port, domains }| Proxy {
                external_proxy: External { server, port: *port, domain_patterns: domains },
            })
            .collect(),
        bypass: (!proxies.bypass.is_empty()).then_some(Bypass { domain_patterns: &proxies.bypass }),
    })
}
