//! The JSON Schema of policy files: what it accepts and refuses, beside what the loader does.

use crate::tree::{files, read};
use cloister_core::policy::Sources;
use regex_lite::Regex;
use serde_json::Value;

/// Whether a schema takes a value. Keywords that are not known here are an error of the test, so that none is passed over.
fn takes(schema: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "title" | "description" => true,
        "type" => match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            other => panic!("type {other}"),
        },
        "properties" => value.as_object().is_none_or(|members| {
            members.iter().all(|(key, value)| rule.get(key).is_none_or(|schema| takes(schema, value)))
        }),
        "additionalProperties" => {
            assert_eq!(rule, false);
            let known = schema["properties"].as_object().unwrap();
            value.as_object().is_none_or(|members| members.keys().all(|key| known.contains_key(key)))
        }
        "anyOf" => rule.as_array().unwrap().iter().any(|schema| takes(schema, value)),
        "enum" => rule.as_array().unwrap().contains(value),
        "pattern" => {
            value.as_str().is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text))
        }
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap()),
        "maxLength" => value.as_str().is_none_or(|text| text.len() as u64 <= rule.as_u64().unwrap()),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| takes(rule, item))),
        "uniqueItems" => value
            .as_array()
            .is_none_or(|items| items.iter().enumerate().all(|(index, item)| !items[..index].contains(item))),
        other => panic!("keyword {other}"),
    })
}

fn schema_takes(text: &str) -> bool {
    let schema: Value = serde_json::from_str(&read("policies/schema.json")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    takes(&schema, &serde_json::to_value(table).unwrap())
}

fn loader_takes(text: &str) -> bool {
    let mut sources = Sources::new();
    sources.add("x", "x.toml", text);
    sources.resolve("x").is_ok()
}

#[test]
fn the_schema_takes_every_shipped_policy() {
    let shipped: Vec<_> = files()
        .into_iter()
        .filter(|file| {
            let rest = file.path.strip_prefix("policies/");
            rest.is_some_and(|rest| rest.ends_with(".toml") && !rest.contains('/'))
        })
        .collect();
    assert!(shipped.len() > 15, "{}", shipped.len());
    for file in shipped {
        assert!(schema_takes(&file.text), "{}", file.path);
    }
}

#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    for bad in [
        "memroy = 1",
        "ceiling = 'yes'",
        "image = '../x'",
        "start = 'Pool'",
        "[resources]\nmemroy = 1",
        "[resources]\nmemory = '2GB'",
        "[resources]\nmemory = -1",
        "[resources]\nmemory = 1.5",
        "[resources]\nmemory = []",
        "[resources]\ncpu = 0",
        "[time]\ncall = '1d'",
        "[time]\ncall = '1h30m'",
        "[network]\nmode = 'Open'",
        "[network]\nports = [0]",
        "[network]\nports = [70000]",
        "[network]\nports = [443, 443]",
        "[network]\nallowed_domains = ['*']",
        "[network]\nallowed_domains = ['A.com']",
        "[network]\nallowed_cidrs = ['10.0.0.0']",
        "[languages]\nruntimes = ['ruby']",
        "[browser]\nread_only = 1",
        "[isolation]\nrequire = ['seccomp', 'seccomp']",
        "[output]\ndisplays = -1",
    ] {
        assert!(!schema_takes(bad), "schema: {bad}");
        assert!(!loader_takes(bad), "loader: {bad}");
    }
    for good in [
        "",
        "[resources]\nmemory = 2147483648\ncpu = 1",
        "[resources]\nmemory = '2 GiB'\ncpu = 0.5",
        "[time]\ncall = '250ms'\nsession_max = 3600",
        "[network]\nmode = 'allowlist'\nallowed_domains = ['*.a-b.example', 'localhost']\ndenied_cidrs = ['fd00::/8']",
    ] {
        assert!(schema_takes(good) && loader_takes(good), "{good}");
    }
}
