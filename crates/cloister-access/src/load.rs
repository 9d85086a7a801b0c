//! Policy files to a policy set: parsed, named by their `@id`, and validated strictly, with file and line for everything that is wrong.

use crate::memo::Memo;
use cedar_policy::{
    Effect, Policy, PolicyId, PolicySet, ResourceConstraint, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;
use std::collections::HashMap;

/// Longest text of one policy, in bytes; what the AWS service takes as well. Stops a file from being a program.
const LONGEST: usize = 10_000;

/// The text of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// As people should see it: below the folder of policies (`access/roles.cedar`).
    pub name: String,
    /// What it says.
    pub text: String,
}

/// Why access policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The schema is not one.
    #[error("{file}: {what}")]
    Schema {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// One problem per line, each with its file and line.
    #[error("{}", .0.join("\n"))]
    Policies(Vec<String>),
}

/// Where a policy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) effect: Effect,
    /// Its `@advice`, for whoever is denied by it.
    pub(crate) advice: Option<String>,
    /// What it says.
    pub(crate) text: String,
}

/// The policies in force.
pub(crate) struct Rules {
    pub(crate) set: PolicySet,
    pub(crate) places: HashMap<PolicyId, Place>,
    /// Whether one of them looks at which resource it is asked about.
    pub(crate) by_id: bool,
    /// What they allowed just now.
    pub(crate) memo: Memo,
}

/// Reads a schema.
pub(crate) fn schema(file: &PolicyFile) -> Result<Schema, AccessError> {
    match Schema::from_cedarschema_str(&file.text) {
        Ok((schema, _warnings)) => Ok(schema),
        Err(error) => Err(AccessError::Schema { file: file.name.clone(), what: error.to_string() }),
    }
}

/// Reads policies. All of them or none: a half-read set is nobody's intent.
pub(crate) fn rules(schema: &Schema, files: &[PolicyFile]) -> Result<Rules, AccessError> {
    let validator = Validator::new(schema.clone());
    let mut rules =
        Rules { set: PolicySet::new(), places: HashMap::new(), by_id: false, memo: Memo::default() };
    let mut problems = Vec::new();
    for file in files {
        match file.text.parse::<PolicySet>() {
            Ok(set) => add(&mut rules, file, &set, &validator, &mut problems),
            Err(errors) => problems.extend(errors.iter().map(|error| at(file, error))),
        }
    }
    if problems.is_empty() { Ok(rules) } else { Err(AccessError::Policies(problems)) }
}

fn add(
    rules: &mut Rules,
    file: &PolicyFile,
    set: &PolicySet,
    validator: &Validator,
    problems: &mut Vec<String>,
) {
    let name = &file.name;
    for template in set.templates() {
        problems.push(format!("{name}: {} is a template, and nothing here fills one in", template.id()));
    }
    let result = validator.validate(set, ValidationMode::Strict);
    problems.extend(result.validation_errors().map(|error| at(file, error)));
    for warning in result.validation_warnings() {
        tracing::warn!(warning = at(file, warning), "an access policy may not say what it should");
    }
    for policy in set.policies() {
        match placed(file, policy) {
            Ok((id, place)) => {
                if let Some(first) = rules.places.get(&id) {
                    let Place { file, line, .. } = first;
                    problems.push(format!("{name}:{}: @id(\"{id}\") is taken: {file}:{line}", place.line));
                } else if rules.set.add(policy.new_id(id.clone())).is_ok() {
                    rules.by_id |= looks_at_resource(policy);
                    rules.places.insert(id, place);
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
}

/// Whether the answer of a policy may depend on which resource it is asked about, as opposed to what kind of one. In doubt it may.
fn looks_at_resource(policy: &Policy) -> bool {
    let of_a_kind = match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
        ResourceConstraint::Eq(_) | ResourceConstraint::In(_) | ResourceConstraint::IsIn(..) => false,
    };
    !of_a_kind
        || policy.to_json().map_or(true, |json| json["conditions"].to_string().contains("\"resource\""))
}

/// The name of a policy, and where it stands.
fn placed(file: &PolicyFile, policy: &Policy) -> Result<(PolicyId, Place), String> {
    let name = &file.name;
    let id = policy.annotation("id").unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if id.is_empty() || id.len() > 100 || !id.bytes().all(plain) {
        let text = policy.to_string();
        let begin: String = text.chars().take(60).collect();
        return Err(format!(
            "{name}: a policy needs @id(\"name\") of up to 100 letters, digits, '.', '_' and '-', for denials to name it: {begin}"
        ));
    }
    let wanted = format!("@id(\"{id}\")");
    let number = file.text.lines().position(|line| line.trim_start().starts_with(&wanted));
    let line = number.map_or(1, |number| number + 1);
    if policy.to_string().len() > LONGEST {
        return Err(format!("{name}:{line}: the policy {id} is longer than {LONGEST} bytes"));
    }
    let advice = policy.annotation("advice").filter(|text| !text.is_empty()).map(sentence);
    Ok((
        PolicyId::new(id),
        Place { file: name.clone(), line, effect: policy.effect(), advice, text: policy.to_string() },
    ))
}

/// With a capital letter, by which whoever shows it knows that it stands for itself.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A problem with its file and line.
fn at(file: &PolicyFile, problem: &dyn Diagnostic) -> String {
    let offset = problem.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    let name = &file.name;
    let help = problem.help().map(|help| format!(" ({help})")).unwrap_or_default();
    match offset.and_then(|offset| file.text.get(..offset)) {
        Some(before) => format!("{name}:{}: {problem}{help}", before.matches('\n').count() + 1),
        None => format!("{name}: {problem}{help}"),
    }
}
