//! Texts for people: links lead somewhere, and what the stores are given is what they take.

use std::collections::BTreeSet;

use super::SourceFile;

/// The stores' limit for the short description, in characters.
const MOST_SHORT: usize = 132;

/// What is wrong, a sentence each.
pub(super) fn check(files: &[SourceFile]) -> Vec<String> {
    let names: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let pages = files.iter().filter(|file| file.has_extension("md"));
    let mut complaints: Vec<String> = pages.flat_map(|page| broken_links(page, files, &names)).collect();
    complaints.extend(files.iter().filter_map(|file| listing(file, files)));
    complaints
}

/// Relative links of a page whose file, folder or heading isn't there.
fn broken_links(page: &SourceFile, files: &[SourceFile], names: &BTreeSet<&str>) -> Vec<String> {
    let folder = page.name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let links = page.text().split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
    let is_ours = |link: &&str| !link.contains("://") && !link.starts_with("mailto:") && !link.contains(' ');
    let mut broken = Vec::new();
    for link in links.filter(is_ours) {
        let (path, heading) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { page.name.clone() } else { resolve(folder, path) };
        let below = format!("{target}/");
        let there = names.contains(target.as_str()) || names.iter().any(|name| name.starts_with(&below));
        let found = files.iter().find(|file| file.name == target);
        let has_heading =
            heading.is_empty() || found.is_some_and(|file| headings(file.text()).contains(heading));
        if !there || !has_heading {
            broken.push(format!("{} links to {link}, which isn't there", page.name));
        }
    }
    broken
}

/// A link's path from the checkout's root.
fn resolve(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// The names that forges give to a page's headings.
fn headings(text: &str) -> BTreeSet<String> {
    let of = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().replace(' ', "-")
    };
    text.lines().filter(|line| line.starts_with('#')).map(of).collect()
}

/// Each language of the extension has a page for the stores, with the same short description and the same parts.
fn listing(file: &SourceFile, files: &[SourceFile]) -> Option<String> {
    let language = file.name.strip_prefix("www/_locales/")?.strip_suffix("/messages.json")?;
    let name = format!("manifest/store/listing/{language}.md");
    let Some(page) = files.iter().find(|file| file.name == name) else {
        return Some(format!("{name} is missing: the stores need a text in each language of the extension"));
    };
    let texts: serde_json::Value = serde_json::from_str(file.text()).ok()?;
    let short = texts["description"]["message"].as_str().unwrap_or_default();
    if !page.text().contains(&format!("## Short description\n{short}\n"))
        || short.chars().count() > MOST_SHORT
    {
        return Some(format!(
            "{name} needs the extension's description of at most {MOST_SHORT} characters as its short description"
        ));
    }
    let parts = ["## Description\n", "## Category\n", "## Single purpose\n"];
    parts.iter().any(|part| !page.text().contains(part)).then(|| format!("{name} lacks a part: {parts:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> SourceFile {
        SourceFile { name: name.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn links_that_lead_nowhere_are_named() {
        let page = "[a](b.md) [b](../README.md#the-devices-own-2) [c](#here) [d](https://x.example/y) [e](x/)\n# Here\n";
        let files = [
            file("docs/a.md", page),
            file("docs/b.md", ""),
            file("docs/x/y.png", ""),
            file("README.md", "## The device's own (2)\n"),
        ];
        assert_eq!(check(&files), [""; 0]);
        let wrong = [file("docs/a.md", "[a](c.md) [b](#there) ![c](../x.png) [d](a.md#here)\n")];
        assert_eq!(check(&wrong).len(), 4);
    }

    #[test]
    fn each_language_has_its_page_with_the_extensions_description() {
        let texts = file("www/_locales/xx/messages.json", r#"{ "description": { "message": "Plays." } }"#);
        let page = |short: &str| {
            let text = format!(
                "## Short description\n{short}\n## Description\nx\n## Category\nx\n## Single purpose\nx\n"
            );
            file("manifest/store/listing/xx.md", &text)
        };
        let texts = || file(&texts.name, texts.text());
        assert_eq!(check(&[texts(), page("Plays.")]), [""; 0]);
        assert_eq!(check(&[texts(), page("Other.")]).len(), 1);
        assert_eq!(check(&[texts()]).len(), 1);
    }
}
