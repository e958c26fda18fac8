//! Reads `message.rs` and its parts as a schema, so that `offstage.proto` and `PROTOCOL.md` can't differ from it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

const SOURCE: &str = concat!(
    include_str!("../message.rs"),
    "\n",
    include_str!("../message/bridge.rs"),
    "\n",
    include_str!("../message/calls.rs"),
    "\n",
    include_str!("../message/geometry.rs")
);

/// A struct, or an enum that stands in a message's `oneof`.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) doc: Vec<String>,
    pub(super) oneof: bool,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug, Default)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) doc: Vec<String>,
    /// As protobuf names it, without `optional` and `repeated`.
    pub(super) kind: String,
    pub(super) label: &'static str,
    pub(super) tag: u32,
    /// The enum of a `oneof` field.
    pub(super) oneof: Option<String>,
}

/// The headings between the messages, each with the items below it.
pub(super) struct Section {
    pub(super) title: String,
    pub(super) items: Vec<Item>,
}

pub(super) fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

pub(super) fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut doc = Vec::new();
    let mut attribute = String::new();
    let mut lines = SOURCE.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("// ---") {
            let title = lines.next().unwrap().trim_start_matches("// ").trim_end_matches('.').to_owned();
            sections.push(Section { title, items: Vec::new() });
        } else if let Some(text) = line.strip_prefix("///") {
            doc.push(plain(text.trim()));
        } else if line.starts_with("#[prost(") {
            attribute = line.to_owned();
            while !attribute.ends_with(")]") {
                attribute.push_str(lines.next().unwrap());
            }
        } else if let Some((oneof, rest)) = [("pub struct ", false), ("pub enum ", true)]
            .iter()
            .find_map(|(start, oneof)| Some((*oneof, line.strip_prefix(start)?)))
        {
            let name = rest.trim_end_matches(" {").to_owned();
            let item = Item { name, doc: core::mem::take(&mut doc), oneof, fields: Vec::new() };
            sections.last_mut().unwrap().items.push(item);
        } else if !attribute.is_empty() {
            let item = sections.last_mut().unwrap().items.last_mut().unwrap();
            let field = field(&core::mem::take(&mut attribute), line, core::mem::take(&mut doc), item.oneof);
            item.fields.push(field);
        } else if line.is_empty() {
            doc.clear();
        }
    }
    sections
}

/// A doc comment without rustdoc's links.
fn plain(text: &str) -> String {
    text.replace("[`crate::frame::CONTROL_STREAM`]", "0")
        .replace("[`crate::frame::BRIDGE_STREAM`]", "1")
        .replace("[`", "`")
        .replace("`]", "`")
}

fn field(attribute: &str, line: &str, doc: Vec<String>, in_oneof: bool) -> Field {
    let inner = attribute.strip_prefix("#[prost(").unwrap().strip_suffix(")]").unwrap();
    let line = line.trim_end_matches(',');
    let (name, rust) = if in_oneof {
        let (name, rest) = line.split_once('(').unwrap();
        (snake(name), rest.trim_end_matches(')'))
    } else {
        let (name, rust) = line.strip_prefix("pub ").unwrap().split_once(": ").unwrap();
        (name.to_owned(), rust)
    };
    let bare = rust
        .trim_start_matches("Option<")
        .trim_start_matches("Vec<")
        .trim_start_matches("Box<")
        .trim_end_matches('>');
    let mut field = Field { name, doc, ..Field::default() };
    for part in inner.split(", ") {
        match part.split_once(" = ") {
            Some(("tag", tag)) => field.tag = tag.trim_matches('"').parse().unwrap(),
            Some(("oneof", _)) => field.oneof = Some(bare.to_owned()),
            Some(("bytes", _)) => field.kind = "bytes".into(),
            None if part == "optional" && field.kind != bare => field.label = "optional ",
            None if part == "repeated" => field.label = "repeated ",
            None if part == "message" => field.kind = bare.into(),
            None if part == "optional" => {}
            None if part.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit()) => {
                field.kind = part.into();
            }
            // The tags of a oneof, which the enum repeats.
            Some(_) | None => {}
        }
    }
    field
}

fn items() -> Vec<Item> {
    sections().into_iter().flat_map(|section| section.items).collect()
}

fn find<'a>(items: &'a [Item], name: &str) -> &'a Item {
    items.iter().find(|item| item.name == name).unwrap()
}

/// `family.kind` for every variant of every message with a oneof.
pub(super) fn kinds() -> BTreeSet<String> {
    let items = items();
    let mut names = BTreeSet::new();
    for item in &items {
        for oneof in item.fields.iter().filter_map(|field| field.oneof.as_ref()) {
            let kinds = find(&items, oneof).fields.iter();
            names.extend(kinds.map(|kind| format!("{}.{}", snake(&item.name), kind.name)));
        }
    }
    names
}

/// The whole schema in protobuf's language.
pub(super) fn proto() -> String {
    let all = items();
    let mut out = String::from(
        "// The messages of Offstage. Equal to protocol/src/message.rs and its parts; a test compares them.\n\
         // See PROTOCOL.md for what the messages mean and where they may travel.\n\
         syntax = \"proto3\";\n\npackage offstage;\n",
    );
    for section in sections() {
        writeln!(out, "\n// {}.", section.title).unwrap();
        for item in section.items.iter().filter(|item| !item.oneof) {
            out.push('\n');
            comment(&mut out, "", &item.doc);
            writeln!(out, "message {} {{", item.name).unwrap();
            for field in &item.fields {
                if let Some(oneof) = &field.oneof {
                    writeln!(out, "  oneof {} {{", field.name).unwrap();
                    for kind in &find(&all, oneof).fields {
                        comment(&mut out, "    ", &kind.doc);
                        writeln!(out, "    {} {} = {};", kind.kind, kind.name, kind.tag).unwrap();
                    }
                    out.push_str("  }\n");
                } else {
                    comment(&mut out, "  ", &field.doc);
                    writeln!(out, "  {}{} {} = {};", field.label, field.kind, field.name, field.tag).unwrap();
                }
            }
            out.push_str("}\n");
        }
    }
    out
}

fn comment(out: &mut String, indent: &str, doc: &[String]) {
    for line in doc {
        writeln!(out, "{}", format!("{indent}// {line}").trim_end()).unwrap();
    }
}

/// The messages as a chapter of `PROTOCOL.md`.
pub(super) fn chapter() -> String {
    let all = items();
    let mut out = String::new();
    for section in sections() {
        writeln!(out, "\n### {}", section.title).unwrap();
        for item in section.items.iter().filter(|item| !item.oneof) {
            writeln!(out, "\n**{}**{}", item.name, sentence(&item.doc)).unwrap();
            out.push_str("\n| no. | field | type | meaning |\n|---|---|---|---|\n");
            for field in &item.fields {
                let rows = match &field.oneof {
                    Some(oneof) => &find(&all, oneof).fields,
                    None => core::slice::from_ref(field),
                };
                for row in rows {
                    let label = if field.oneof.is_some() { "one of: " } else { row.label };
                    let meaning = row.doc.join(" ").replace('|', "\\|");
                    writeln!(out, "| {} | `{}` | {label}{} | {meaning} |", row.tag, row.name, row.kind)
                        .unwrap();
                }
            }
        }
    }
    out
}

fn sentence(doc: &[String]) -> String {
    if doc.is_empty() { String::new() } else { format!(": {}", doc.join(" ")) }
}
