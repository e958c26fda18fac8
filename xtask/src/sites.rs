//! `cargo xtask sites`: a page of every site that is redirected by default, under the site's own name.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use offstage_ext_core::sites::{Kind, Site};
use offstage_tests::session::Installation;
use offstage_tests::sites::{Row, Sites, UNCOVERED, shipped, visits};
use serde_json::json;

use crate::build;
use crate::differential::material;
use crate::run::print;
use crate::workspace::Workspace;

/// Play a page of every site of www/sites/sites.json under the site's own name.
///
/// One browser with the shipped list and no policy; every name leads to a server on loopback, over HTTPS with a certificate
/// that is made for the run. A site plays with the technology that its entry names, on a page of its own and, where it has
/// frames, in a page of a site that isn't on the list. Prints a line each:
///
///     redirected  the device played it: frames were counted there, and the position moved
///     session     it played in the session; with the reason's code
///     FAILED      with what went wrong; then the exit code is 1
///
/// Then every other pattern of the site is looked at, and pages that no pattern may match. The live sites are not asked.
/// Needs what `cargo xtask differential` needs.
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Only sites whose id or name has one of these in it.
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Write the rows to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table of docs/sites.md anew.
    #[arg(long, conflicts_with = "patterns")]
    update: bool,
    /// Use what was built before, as it is.
    #[arg(long)]
    no_build: bool,
}

/// Between these lines of docs/sites.md is the table.
const MARKS: [&str; 2] = ["<!-- made by `cargo xtask sites --update` -->\n", "<!-- end -->\n"];

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let begun = Instant::now();
    let installation = if options.no_build {
        Installation::new(&workspace.dist(), &workspace.programs(false), &workspace.extension_id()?)
    } else {
        build::run(workspace, &build::Options::default())?
    };
    let list = shipped(&workspace.read("www/sites/sites.json")?)?.sites;
    let wanted = |site: &&Site| {
        let named = |part: &String| site.id.contains(part) || site.name.contains(part);
        options.patterns.is_empty() || options.patterns.iter().any(named)
    };
    let list: Vec<&Site> = list.iter().filter(wanted).collect();
    let browser = Sites::start(&installation, material::handler(workspace)?)?;
    let mut rows = Vec::new();
    let mut wrong = Vec::new();
    for site in &list {
        for visit in visits(site) {
            let row = browser.play(visit)?;
            print(line(&row));
            rows.push(row);
        }
        wrong.extend(browser.wrongly_covered(site)?.iter().map(|pattern| format!("{}: {pattern}", site.id)));
    }
    for url in UNCOVERED {
        if let Err(error) = browser.play_uncovered(url) {
            wrong.push(format!("{error:#}"));
        }
    }
    browser.close();
    wrong.iter().for_each(|text| print(format!("FAILED      {text}")));
    let bad = rows.iter().filter(|row| !row.is_good()).count() + wrong.len();
    let moved = rows.iter().filter(|row| row.redirected).count();
    print(format!(
        "sites: {} sites, {} rows, {moved} redirected, {} in session, {bad} failed; {} uncovered pages; {} s",
        list.len(),
        rows.len(),
        rows.iter().filter(|row| row.is_good() && !row.redirected).count(),
        UNCOVERED.len(),
        begun.elapsed().as_secs()
    ));
    if let Some(path) = &options.json {
        let report = json!({ "sites": rows, "uncovered": UNCOVERED, "wrong": wrong });
        std::fs::write(path, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if rows.is_empty() {
        bail!("no site has this in its name");
    }
    if bad > 0 {
        bail!("{bad} are not as they should be");
    }
    if options.update {
        update(workspace, &list, &rows)?;
    }
    Ok(())
}

fn line(row: &Row) -> String {
    let state = match row {
        row if !row.is_good() => "FAILED",
        row if row.redirected => "redirected",
        _ => "session",
    };
    let player = if row.embedded { format!("{}, in a frame", row.player) } else { row.player.to_owned() };
    let why = row.problem.as_deref().or(row.code.as_deref()).unwrap_or_default();
    format!("{state:<11} {:<30} {player:<38} {:<30} {:>4.1} s  {why}", row.site, row.host, row.seconds)
}

fn update(workspace: &Workspace, list: &[&Site], rows: &[Row]) -> Result<()> {
    let mut table =
        "| Site | Kind | Pages and frames | Played with | Result | Notes |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for site in list {
        let patterns: Vec<String> = site.pages.iter().chain(&site.frames).map(|text| shown(text)).collect();
        let own: Vec<&Row> = rows.iter().filter(|row| row.site == site.name).collect();
        let players = own.iter().map(|row| if row.embedded { "in a frame" } else { row.player });
        let result = match own.iter().find_map(|row| row.code.as_deref()) {
            Some(code) => format!("in session: [{code}](errors.md#{})", code.to_lowercase()),
            None => "redirected".to_owned(),
        };
        let mut seen: Vec<String> = Vec::new();
        patterns.into_iter().for_each(|text| {
            if !seen.contains(&text) {
                seen.push(text)
            }
        });
        let kind = if site.kind == Kind::LiveEvent { "live event" } else { site.kind.name() };
        writeln!(
            table,
            "| {} | {kind} | {} | {} | {result} | {} |",
            site.name,
            seen.join(", "),
            players.collect::<Vec<_>>().join("; "),
            site.notes
        )?;
    }
    let path = "docs/sites.md";
    let text = workspace.read(path)?;
    let (before, rest) = text.split_once(MARKS[0]).context("docs/sites.md has lost its mark")?;
    let (_, after) = rest.split_once(MARKS[1]).context("docs/sites.md has lost its end mark")?;
    std::fs::write(workspace.path(path), format!("{before}{}\n{table}\n{}{after}", MARKS[0], MARKS[1]))?;
    Ok(())
}

/// A pattern without what all of them have.
fn shown(pattern: &str) -> String {
    let text = pattern.trim_start_matches("https://");
    format!("`{}`", text.strip_suffix("/*").unwrap_or(text))
}
