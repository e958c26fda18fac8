//! What hook and relay are registered for.

use serde::Serialize;

use crate::pattern::Pattern;

/// Hook and relay belong into every frame whose document matches, and isn't excluded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scripts {
    pub matches: Vec<String>,
    pub exclude_matches: Vec<String>,
    /// Documents without an address of their own count as their origin.
    pub match_origin_as_fallback: bool,
}

impl Scripts {
    fn new(matches: Vec<&Pattern>, excluded: Vec<&Pattern>, match_origin_as_fallback: bool) -> Self {
        let texts = |patterns: Vec<&Pattern>| patterns.into_iter().map(|p| p.text().to_owned()).collect();
        Self { matches: texts(matches), exclude_matches: texts(excluded), match_origin_as_fallback }
    }

    /// A document without an address of its own (about:blank, srcdoc, blob:, data:) is covered with the origin that made it. The
    /// browser offers that for whole origins only, and it can't tell what path such a document comes from: where a path is blocked
    /// or only a path is covered, documents with an address are all there is.
    pub(super) fn of(sites: &[Pattern], blocked: &[Pattern]) -> [Self; 2] {
        let (whole, parts): (Vec<&Pattern>, Vec<&Pattern>) = sites.iter().partition(|p| p.is_whole());
        let in_part: Vec<&Pattern> = blocked.iter().filter(|pattern| !pattern.is_whole()).collect();
        let given_up: Vec<Pattern> =
            in_part.iter().filter_map(|blocked| blocked.common_origins(blocked)).collect();
        let all_blocked: Vec<&Pattern> = blocked.iter().collect();
        let inherit = Self::new(whole.clone(), all_blocked.iter().copied().chain(&given_up).collect(), true);
        let left: Vec<Pattern> = given_up
            .iter()
            .flat_map(|origins| whole.iter().filter_map(|site| site.common_origins(origins)))
            .collect();
        let own = parts.into_iter().filter(|part| !whole.iter().any(|site| site.contains(part)));
        [inherit, Self::new(own.chain(&left).collect(), all_blocked, false)]
    }
}
