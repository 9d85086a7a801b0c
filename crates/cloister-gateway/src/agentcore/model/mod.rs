//! The form of the service model's tables: what a request or an answer may look like, as data.
//!
//! ```text
//! service-2.json ──scripts/generate-model.py──▶ tables.rs ──▶ validate.rs (requests; answers, in tests)
//! ```

mod tables;

pub use tables::*;

/// Which of the two services an operation belongs to. Their routes don't overlap, so one port serves both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// `bedrock-agentcore`: sessions and calls.
    Data,
    /// `bedrock-agentcore-control`: resources.
    Control,
}

/// One operation of the model.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its service.
    pub plane: Plane,
    /// Its name, as in exceptions and SDKs.
    pub name: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// URI template without a query: literal segments and `{label}`s.
    pub uri: &'static str,
}

/// An operation that this server answers, with the shapes of its two ends.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Its name.
    pub name: &'static str,
    /// HTTP status of a success.
    pub status: u16,
    /// The request.
    pub input: &'static Shape,
    /// The answer.
    pub output: &'static Shape,
}

/// Where a member of a request or an answer travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// A label of the path.
    Uri,
    /// The query string.
    Query,
    /// A header.
    Header,
    /// The JSON body.
    Body,
}

/// One member of a structure.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name in the model, and the one that a `fieldList` shows.
    pub name: &'static str,
    /// Its name on the wire (label, query key, header or JSON key).
    pub wire: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Where it travels.
    pub location: Location,
    /// What it may be.
    pub shape: &'static Shape,
}

/// What a value may be. Limits are inclusive: characters of a string, bytes of a blob, entries of a list, or
/// a number's value.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the members are the model's own words: min, max, pattern, enum, union")]
pub enum Shape {
    String {
        min: Option<u64>,
        max: Option<u64>,
        pattern: Option<&'static str>,
        values: &'static [&'static str],
    },
    Blob {
        min: Option<u64>,
        max: Option<u64>,
    },
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Double,
    Boolean,
    Timestamp,
    List {
        min: Option<u64>,
        max: Option<u64>,
        member: &'static Shape,
    },
    Structure {
        union: bool,
        members: &'static [Member],
    },
}

const REQUIRED: bool = true;
const OPTIONAL: bool = false;

const fn member(name: &'static str, required: bool, shape: &'static Shape) -> Member {
    Member { name, wire: name, required, location: Location::Body, shape }
}

const fn bound(
    location: Location,
    name: &'static str,
    wire: &'static str,
    required: bool,
    shape: &'static Shape,
) -> Member {
    Member { name, wire, required, location, shape }
}

const fn data(name: &'static str, method: &'static str, uri: &'static str) -> Operation {
    Operation { plane: Plane::Data, name, method, uri }
}

const fn control(name: &'static str, method: &'static str, uri: &'static str) -> Operation {
    Operation { plane: Plane::Control, name, method, uri }
}

/// The shapes of an operation that is served.
pub fn served(name: &str) -> Option<&'static Served> {
    SERVED.iter().find(|operation| operation.name == name)
}

/// Every pattern in the shapes of the operations that are served.
pub(crate) fn patterns() -> Vec<&'static str> {
    let mut found = Vec::new();
    for operation in SERVED {
        collect_patterns(operation.input, &mut found);
        collect_patterns(operation.output, &mut found);
    }
    for (_, _, shape) in ERRORS {
        collect_patterns(shape, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn collect_patterns(shape: &Shape, found: &mut Vec<&'static str>) {
    match shape {
        Shape::String { pattern, .. } => found.extend(*pattern),
        Shape::List { member, .. } => collect_patterns(member, found),
        Shape::Structure { members, .. } => members.iter().for_each(|m| collect_patterns(m.shape, found)),
        Shape::Blob { .. } | Shape::Integer { .. } | Shape::Double | Shape::Boolean | Shape::Timestamp => {}
    }
}
