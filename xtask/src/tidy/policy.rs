//! What administrators need of the settings, made from their table: schema, templates for Windows, examples for Linux and macOS, a page.

use std::fmt::Write as _;

use offstage_settings::extension::SETTINGS;
use offstage_settings::{Kind, Setting, device};
use serde_json::{Map, Value, json};

/// The settings in German, in the table's order: name, what it is called, what it does.
const GERMAN: [(&str, &str, &str); SETTINGS.len()] = [
    ("enabled", "Medien umleiten", "Ausgeschaltet spielt alles in der Sitzung."),
    (
        "videoAllSites",
        "Videos aller Websites",
        "Leitet die Videos aller Websites um, nicht nur die der aufgeführten.",
    ),
    (
        "videoSites",
        "Websites mit umgeleiteten Videos",
        "Websites, deren Videos umgeleitet werden, anstelle der mitgelieferten Liste und der vom Benutzer ergänzten.",
    ),
    (
        "videoBlocked",
        "Websites ohne umgeleitete Videos",
        "Websites, deren Videos immer in der Sitzung spielen, auch wenn eine andere Einstellung sie umfasst.",
    ),
    (
        "callsAllSites",
        "Anrufe aller Websites",
        "Leitet die Anrufe aller Websites um: Verbindung, Mikrofon und Kamera sind die des Geräts.",
    ),
    (
        "callsSites",
        "Websites mit umgeleiteten Anrufen",
        "Websites, deren Anrufe umgeleitet werden: Verbindung, Mikrofon und Kamera sind die des Geräts. Anstelle der mitgelieferten Liste und der vom Benutzer ergänzten.",
    ),
    (
        "callsBlocked",
        "Websites ohne umgeleitete Anrufe",
        "Websites, deren Anrufe immer in der Sitzung bleiben, auch wenn eine andere Einstellung sie umfasst.",
    ),
    (
        "callsShareDevice",
        "Bildschirme des Geräts teilen",
        "Eine Seite umgeleiteter Anrufe, die einen Bildschirm zeigen soll, bekommt einen des Geräts, der dort ausgewählt wird, statt eines der entfernten Sitzung.",
    ),
    (
        "callsContract",
        "Seiten von umgeleiteten Anrufen erzählen",
        "Seiten bekommen die Eigenschaften von navigator.mediaDevices, die Microsoft für die Umleitung von Anrufen veröffentlicht hat (isCallRedirectionEnabled und andere); manche Anwendungen suchen danach.",
    ),
    (
        "overlay",
        "Status über dem Bild",
        "Schreibt über jedes umgeleitete Video, dass es auf dem Gerät spielt, und in welcher Größe es kommt.",
    ),
    ("outline", "Rahmen", "Zieht eine grüne Linie um jedes umgeleitete Video."),
    (
        "hideAdvanced",
        "Erweiterte Einstellungen verbergen",
        "Lässt im Fenster der Erweiterung weg, was der Fehlersuche dient: Statistik, Status über dem Bild, Rahmen, geltende Einstellungen.",
    ),
    (
        "locked",
        "Gesperrte Einstellungen",
        "Namen von Einstellungen, die der Benutzer nicht ändern kann, obwohl keine Richtlinie ihren Wert bestimmt.",
    ),
    (
        "fetchDevice",
        "Websites, deren Dateien das Gerät lädt",
        "Dateien, die ein Element der Seite selbst abspielt, lädt die Sitzung, außer der Ursprung der Seite steht hier und das Gerät lässt es ebenfalls zu.",
    ),
    ("logLevel", "Protokollstufe", "Wie viel der Teil in der Sitzung in seine eigene Datei schreibt."),
];

/// Browsers with settings of extensions in the registry, and where.
const REGISTRY: [(&str, &str, &str); 2] = [
    ("chrome", "Google Chrome", r"Software\Policies\Google\Chrome"),
    ("edge", "Microsoft Edge", r"Software\Policies\Microsoft\Edge"),
];

/// Every file with its text.
pub(super) fn files(id: &str) -> Vec<(&'static str, String)> {
    let english = |setting: &Setting| (setting.title, setting.description);
    let german = |setting: &Setting| {
        let found = GERMAN.iter().find(|(key, ..)| *key == setting.key);
        found.map_or(("", ""), |(_, title, description)| (*title, *description))
    };
    vec![
        ("manifest/policy/managed_schema.json", pretty(&schema(&SETTINGS))),
        ("manifest/policy/device/client.schema.json", pretty(&schema(&device::SETTINGS))),
        ("manifest/policy/device/client.json", pretty(&of_device())),
        ("manifest/policy/windows/offstage.admx", admx(id)),
        (
            "manifest/policy/windows/en-US/offstage.adml",
            adml("Offstage for browsers", "Chrome 119 or Edge 119", english),
        ),
        (
            "manifest/policy/windows/de-DE/offstage.adml",
            adml("Offstage für Browser", "Chrome 119 oder Edge 119", german),
        ),
        ("manifest/policy/linux/offstage.json", pretty(&linux(id))),
        ("manifest/policy/macos/offstage.mobileconfig", mobileconfig(id)),
        ("docs/policy.md", page(id)),
    ]
}

fn pretty(json: &Value) -> String {
    serde_json::to_string_pretty(json).unwrap_or_default() + "\n"
}

fn schema(table: &[Setting]) -> Value {
    let property = |setting: &Setting| {
        let mut property = json!({ "title": setting.title, "description": setting.description });
        let more = match setting.kind {
            Kind::Switch => json!({ "type": "boolean" }),
            // Not an `enum`: the browser would leave a wrong word out before anybody could tell of it.
            Kind::Word(_) => json!({ "type": "string" }),
            Kind::Sites | Kind::Origins | Kind::Keys | Kind::Texts => {
                json!({ "type": "array", "items": { "type": "string" } })
            }
            Kind::Ports => json!({ "type": "array", "items": { "type": "integer" } }),
        };
        if let (Some(property), Some(more)) = (property.as_object_mut(), more.as_object()) {
            property.extend(more.clone());
        }
        (setting.key.to_owned(), property)
    };
    let properties: Map<String, Value> = table.iter().map(property).collect();
    json!({ "type": "object", "properties": properties })
}

/// What an example gives a setting.
fn example(setting: &Setting) -> Value {
    match setting.key {
        "videoSites" => json!(["video.example.com", "https://training.example.com/courses"]),
        "videoBlocked" => json!(["bank.example.com"]),
        "locked" => json!(["videoAllSites"]),
        key => match setting.kind {
            Kind::Switch => json!(setting.on),
            Kind::Word(words) => json!(words.last()),
            Kind::Texts => json!(["10.1.0.0/16"]),
            Kind::Ports => json!([8080]),
            Kind::Origins => json!(["https://films.example.com"]),
            Kind::Sites | Kind::Keys => json!([format!("{key}.example.com").to_lowercase()]),
        },
    }
}

fn examples() -> Value {
    let shown = ["videoSites", "videoBlocked", "locked", "logLevel"];
    let chosen = SETTINGS.iter().filter(|setting| shown.contains(&setting.key));
    Value::Object(chosen.map(|setting| (setting.key.to_owned(), example(setting))).collect())
}

/// An example of the device's own file.
fn of_device() -> Value {
    json!({ "play": true, "blocked": ["bank.example.com"], "fetch": "session" })
}

fn linux(id: &str) -> Value {
    json!({
        "ExtensionSettings": {
            id: {
                "installation_mode": "force_installed",
                "update_url": "https://updates.example.com/offstage/updates.xml",
                "toolbar_pin": "force_pinned"
            }
        },
        "3rdparty": { "extensions": { id: examples() } }
    })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn admx(id: &str) -> String {
    let mut categories = String::new();
    let mut policies = String::new();
    for (name, _, root) in REGISTRY {
        writeln!(
            categories,
            "    <category name=\"{name}\" displayName=\"$(string.{name})\"><parentCategory ref=\"offstage\"/></category>"
        )
        .ok();
        let key = format!(r"{root}\3rdparty\extensions\{id}\policy");
        for Setting { key: setting, kind, .. } in &SETTINGS {
            let (head, body) = match kind {
                Kind::Switch => (
                    format!(" key=\"{key}\" valueName=\"{setting}\""),
                    "      <enabledValue><decimal value=\"1\"/></enabledValue>\n      <disabledValue><decimal value=\"0\"/></disabledValue>\n"
                        .to_owned(),
                ),
                Kind::Sites | Kind::Origins | Kind::Keys | Kind::Texts | Kind::Ports => (
                    format!(" presentation=\"$(presentation.{setting})\" key=\"{key}\""),
                    format!(
                        "      <elements><list id=\"{setting}_entries\" key=\"{key}\\{setting}\" valuePrefix=\"\"/></elements>\n"
                    ),
                ),
                Kind::Word(words) => {
                    let mut items = String::new();
                    for word in *words {
                        writeln!(
                            items,
                            "        <item displayName=\"$(string.{setting}_{word})\"><value><string>{word}</string></value></item>"
                        )
                        .ok();
                    }
                    (
                        format!(" presentation=\"$(presentation.{setting})\" key=\"{key}\""),
                        format!(
                            "      <elements><enum id=\"{setting}_entries\" valueName=\"{setting}\" required=\"true\">\n{items}      </enum></elements>\n"
                        ),
                    )
                }
            };
            writeln!(
                policies,
                "    <policy name=\"{name}_{setting}\" class=\"Both\" displayName=\"$(string.{setting})\" explainText=\"$(string.{setting}_explained)\"{head}>\n      \
                 <parentCategory ref=\"{name}\"/>\n      <supportedOn ref=\"supported\"/>\n{body}    </policy>"
            )
            .ok();
        }
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <!-- Made from settings/src/ by cargo xtask tidy. -->\n\
         <policyDefinitions xmlns=\"http://schemas.microsoft.com/GroupPolicy/2006/07/PolicyDefinitions\" revision=\"1.0\" schemaVersion=\"1.0\">\n  \
         <policyNamespaces><target prefix=\"offstage\" namespace=\"Offstage.Policies\"/></policyNamespaces>\n  \
         <resources minRequiredRevision=\"1.0\"/>\n  \
         <supportedOn><definitions><definition name=\"supported\" displayName=\"$(string.supported)\"/></definitions></supportedOn>\n  \
         <categories>\n    <category name=\"offstage\" displayName=\"$(string.offstage)\"/>\n{categories}  </categories>\n  \
         <policies>\n{policies}  </policies>\n</policyDefinitions>\n"
    )
}

fn adml<'a>(title: &str, supported: &str, texts: impl Fn(&'a Setting) -> (&'a str, &'a str)) -> String {
    let mut strings = String::new();
    let mut presentations = String::new();
    let mut string = |id: &str, text: &str| {
        writeln!(strings, "      <string id=\"{id}\">{}</string>", escaped(text)).ok();
    };
    string("offstage", "Offstage");
    string("supported", supported);
    for (name, browser, _) in REGISTRY {
        string(name, browser);
    }
    for setting in &SETTINGS {
        let (called, description) = texts(setting);
        string(setting.key, called);
        string(&format!("{}_explained", setting.key), description);
        let key = setting.key;
        match setting.kind {
            Kind::Switch => {}
            Kind::Word(words) => {
                words.iter().for_each(|word| string(&format!("{key}_{word}"), word));
                writeln!(
                    presentations,
                    "      <presentation id=\"{key}\"><dropdownList refId=\"{key}_entries\" noSort=\"true\">{}</dropdownList></presentation>",
                    escaped(called)
                )
                .ok();
            }
            Kind::Sites | Kind::Origins | Kind::Keys | Kind::Texts | Kind::Ports => {
                writeln!(
                    presentations,
                    "      <presentation id=\"{key}\"><listBox refId=\"{key}_entries\">{}</listBox></presentation>",
                    escaped(called)
                )
                .ok();
            }
        }
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <policyDefinitionResources xmlns=\"http://schemas.microsoft.com/GroupPolicy/2006/07/PolicyDefinitions\" revision=\"1.0\" schemaVersion=\"1.0\">\n  \
         <displayName>{title}</displayName>\n  <description>{title}</description>\n  <resources>\n    \
         <stringTable>\n{strings}    </stringTable>\n    <presentationTable>\n{presentations}    </presentationTable>\n  \
         </resources>\n</policyDefinitionResources>\n"
    )
}

/// A JSON value as a property list has it.
fn plist(value: &Value, depth: usize) -> String {
    let pad = "  ".repeat(depth);
    match value {
        Value::Bool(on) => format!("{pad}<{on}/>\n"),
        Value::Number(number) => format!("{pad}<integer>{number}</integer>\n"),
        Value::String(text) => format!("{pad}<string>{}</string>", escaped(text)),
        Value::Array(list) => {
            let entries: String = list.iter().map(|entry| plist(entry, depth + 1)).collect();
            format!("{pad}<array>\n{entries}{pad}</array>\n")
        }
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                format!("{pad}  <key>{}</key>\n{}", escaped(key), plist(value, depth + 1))
            };
            let entries: String = map.iter().map(entry).collect();
            format!("{pad}<dict>\n{entries}{pad}</dict>\n")
        }
        Value::Null => String::new(),
    }
}

fn mobileconfig(id: &str) -> String {
    let payload = |browser: &str, domain: &str, uuid: &str| {
        let mut payload = examples();
        if let Some(payload) = payload.as_object_mut() {
            payload.insert("PayloadType".to_owned(), json!(format!("{domain}.extensions.{id}")));
            payload.insert("PayloadIdentifier".to_owned(), json!(format!("org.offstage.policy.{browser}")));
            payload.insert("PayloadUUID".to_owned(), json!(uuid));
            payload.insert("PayloadVersion".to_owned(), json!(1));
            payload.insert("PayloadDisplayName".to_owned(), json!(format!("Offstage in {browser}")));
        }
        payload
    };
    let profile = json!({
        "PayloadContent": [
            payload("chrome", "com.google.Chrome", "4F6E2B52-6F0B-4B7C-9A1D-0C3B2E5D7A01"),
            payload("edge", "com.microsoft.Edge", "4F6E2B52-6F0B-4B7C-9A1D-0C3B2E5D7A02")
        ],
        "PayloadDisplayName": "Offstage",
        "PayloadIdentifier": "org.offstage.policy",
        "PayloadScope": "System",
        "PayloadType": "Configuration",
        "PayloadUUID": "4F6E2B52-6F0B-4B7C-9A1D-0C3B2E5D7A00",
        "PayloadVersion": 1
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n{}</plist>\n",
        plist(&profile, 0)
    )
}

/// A table's rows for people.
fn rows(table: &[Setting]) -> String {
    let mut rows = String::new();
    for Setting { key, kind, on, person, title, description } in table {
        let (kind, default) = match kind {
            Kind::Switch => ("true or false".to_owned(), on.to_string()),
            Kind::Sites => ("list of sites".to_owned(), "empty".to_owned()),
            Kind::Origins => ("list of sites without a path".to_owned(), "empty".to_owned()),
            Kind::Keys => ("list of names of this table".to_owned(), "empty".to_owned()),
            Kind::Texts => ("list of texts".to_owned(), "empty".to_owned()),
            Kind::Ports => ("list of numbers".to_owned(), "empty".to_owned()),
            Kind::Word(words) => (words.join(", "), (*words.first().unwrap_or(&"")).to_owned()),
        };
        let who = if *person { "policy, person" } else { "policy" };
        writeln!(rows, "| `{key}` | {kind} | {default} | {who} | **{title}.** {description} |").ok();
    }
    rows
}

fn page(id: &str) -> String {
    let (rows, of_device) = (rows(&SETTINGS), rows(&device::SETTINGS));
    let (example, device_example) = (pretty(&linux(id)), pretty(&self::of_device()));
    format!(
        "# Settings and policy

<!-- Made from settings/src/ by `cargo xtask tidy --fix`. -->

Policy beats the person's settings, and those beat the defaults. A value of the wrong kind, an entry that is none and a name that no setting has are
left out, are told with a code (OFS-1503, OFS-1505) in the extension's log and window, and change nothing else; of a policy's wrong types the browser itself tells
in `chrome://policy`. Changes count at once, for pages that are opened from
then on.

| Name | Value | Default | Set by | What it does |
|---|---|---|---|---|
{rows}
## Sites

As in the browsers' own URL policies: `example.com` is the host and all below it, `.example.com` the host alone, `[*.]example.com` the same as the first;
`https://example.com:8443/courses` adds scheme, port and the beginning of the path; `*` is every site. Match patterns of extensions
(`https://*.example.com/*`: a scheme and an asterisk) are taken as well. Queries are not. A list has at most 2,000 entries. What is blocked
anywhere is blocked, by the person as well.

## Where it goes

- **Linux**: [offstage.json](../manifest/policy/linux/offstage.json) in `/etc/chromium/policies/managed/`, `/etc/opt/chrome/policies/managed/` or
  `/etc/opt/edge/policies/managed/`; `chrome://policy` shows what is in force.
- **Windows**: [offstage.admx](../manifest/policy/windows/offstage.admx) and its language files (en-US, de-DE) in the central store (`PolicyDefinitions`); the settings are below
  Offstage, once for Google Chrome and once for Microsoft Edge. In the registry: `HKLM\\Software\\Policies\\Google\\Chrome\\3rdparty\\extensions\\{id}\\policy` (Edge:
  `Microsoft\\Edge`); switches are DWORDs, lists are keys with the values `1`, `2`, …
- **Intune**: import the ADMX and both ADML files (Devices, Configuration, Import ADMX), then make a profile *Templates, Imported administrative templates*. They need no
  other ADMX. Force-installation is a setting of the browser's own templates (*Configure the list of force-installed apps and extensions*).
- **macOS**: [offstage.mobileconfig](../manifest/policy/macos/offstage.mobileconfig), through MDM.

The extension's id is `{id}` as built here; a store gives it another one, which then stands in all of these places.

## Example

```json
{example}```

## The device's own settings

What a person's device does for sessions is the device's matter: the session can ask for less, never for more. The client reads two files, each an object with the names
below: `/etc/offstage/client.json` of the machine, which is the policy, and `~/.config/offstage/client.json` of the person (on Windows `C:\\Program Files\\Offstage\\client.json` and `%APPDATA%\\Offstage\\client.json`); options of its command line count as the
person's. It reads them when it starts, when a session connects and on SIGHUP, and fails what plays and may no longer. `offstage-client doctor` shows what
counts, where it comes from and what is wrong. A machine's file that is there and can't be read, or is no JSON object, stops all playing on
the device (OFS-1507): nobody knows what it was to forbid. [client.schema.json](../manifest/policy/device/client.schema.json) describes both files.

| Name | Value | Default | Set by | What it does |
|---|---|---|---|---|
{of_device}
```json
{device_example}```
"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use roxmltree::Document;

    use super::*;

    fn file(name: &str) -> String {
        files("abcdefghijklmnopabcdefghijklmnop")
            .into_iter()
            .find(|(found, _)| found.ends_with(name))
            .unwrap()
            .1
    }

    #[test]
    fn every_text_that_a_template_names_is_in_both_languages_and_no_other() {
        let admx = file("offstage.admx");
        let template = Document::parse(&admx).unwrap();
        let named = |kind: &str| -> BTreeSet<String> {
            let values =
                template.descendants().flat_map(|node| node.attributes()).map(|attribute| attribute.value());
            let begins = format!("$({kind}.");
            values
                .filter_map(|text| text.strip_prefix(begins.as_str())?.strip_suffix(')'))
                .map(str::to_owned)
                .collect()
        };
        let elements: BTreeSet<&str> = template
            .descendants()
            .filter(|node| node.has_tag_name_in("list") || node.has_tag_name_in("enum"))
            .filter_map(|node| node.attribute("id"))
            .collect();
        for language in ["en-US/offstage.adml", "de-DE/offstage.adml"] {
            let text = file(language);
            let resources = Document::parse(&text).unwrap();
            let there = |tag: &str, attribute: &str| -> BTreeSet<String> {
                let nodes = resources.descendants().filter(|node| node.has_tag_name_in(tag));
                nodes.filter_map(|node| node.attribute(attribute)).map(str::to_owned).collect()
            };
            assert_eq!(there("string", "id"), named("string"), "{language}");
            assert_eq!(there("presentation", "id"), named("presentation"), "{language}");
            let shown: BTreeSet<String> =
                there("listBox", "refId").into_iter().chain(there("dropdownList", "refId")).collect();
            assert_eq!(shown, elements.iter().map(|id| (*id).to_owned()).collect(), "{language}");
            assert!(
                resources.descendants().all(|node| !node.is_text() || node.text() != Some("")),
                "{language}"
            );
        }
        let keys: BTreeSet<&str> = template.descendants().filter_map(|node| node.attribute("key")).collect();
        assert!(
            keys.iter()
                .all(|key| key.contains(r"\3rdparty\extensions\abcdefghijklmnopabcdefghijklmnop\policy")),
            "{keys:?}"
        );
    }

    trait Tagged {
        fn has_tag_name_in(&self, name: &str) -> bool;
    }

    impl Tagged for roxmltree::Node<'_, '_> {
        fn has_tag_name_in(&self, name: &str) -> bool {
            self.tag_name().name() == name
        }
    }

    #[test]
    fn examples_are_taken_without_a_complaint() {
        use offstage_settings::{Settings, Value as Given};
        let whole = |table: &[Setting]| -> Value {
            table.iter().map(|setting| (setting.key.to_owned(), example(setting))).collect()
        };
        for (table, given) in [
            (&SETTINGS[..], whole(&SETTINGS)),
            (&SETTINGS, examples()),
            (&device::SETTINGS, whole(&device::SETTINGS)),
            (&device::SETTINGS, of_device()),
        ] {
            let given: Given = serde_json::from_value(given).unwrap();
            assert_eq!(Settings::new(table, &given, &Given::Nothing).problems(), []);
        }
        let text = file("offstage.mobileconfig");
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let profile = Document::parse_with_options(&text, options).unwrap();
        assert!(profile.descendants().any(|node| node.text() == Some("video.example.com")));
    }

    #[test]
    fn german_is_in_the_tables_order() {
        let keys = |all: [&'static str; SETTINGS.len()]| all;
        assert_eq!(keys(GERMAN.map(|(key, ..)| key)), keys(SETTINGS.map(|setting| setting.key)));
        assert!(GERMAN.iter().all(|(_, title, text)| !title.is_empty() && text.ends_with('.')));
    }
}
