//! Sites are redirected by default, under their own names, and others are left alone. `cargo xtask sites` plays all of them.

use std::path::Path;

use offstage_ext_core::sites::{Player, Site};
use offstage_tests::server::Response;
use offstage_tests::session::Installation;
use offstage_tests::sites::{Sites, UNCOVERED, is_page, shipped, visits};

/// What plays with the clips alone; what the others play with comes from npm.
const PLAYERS: [Player; 5] =
    [Player::Own, Player::OwnWebm, Player::Progressive, Player::Audio, Player::WebRtc];
const IDS: [&str; 5] = ["bbc", "facebook", "imdb", "youtube", "webrtc-samples"];

#[test]
fn listed_sites_play_on_the_device_and_others_are_left_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = shipped(include_str!("../../../www/sites/sites.json")).unwrap().sites;
    let (pages, clips) = (root.join("differential"), root.join("clips"));
    let installation = Installation::from_env().unwrap();
    let sites = Sites::start(&installation, move |request| match request.path.as_str() {
        _ if is_page(request) => Response::file(&pages, "site.html"),
        "/media/file.mp4" => Response::file(&clips, "files/film.mp4"),
        path => match (path.strip_prefix("/page/"), path.strip_prefix("/media/")) {
            (Some(part), _) => Response::file(&pages, part),
            (_, Some(clip)) => Response::file(&clips, clip),
            (None, None) => Response::not_found(),
        },
    })
    .unwrap();
    let mut played = 0;
    for site in list.iter().filter(|site| IDS.contains(&site.id.as_str())) {
        for visit in visits(site).filter(|visit| PLAYERS.contains(&visit.player)) {
            let row = sites.play(visit).unwrap();
            assert!(row.is_good(), "{row:?}");
            played += 1;
        }
        assert_eq!(sites.wrongly_covered(site).unwrap(), Vec::<String>::new());
    }
    assert_eq!(played, 7);
    // The check itself: a site that the list doesn't have is found to be without the hook.
    let unlisted = Site { pages: vec![UNCOVERED[0].to_owned()], frames: vec![], ..list[0].clone() };
    assert_eq!(sites.wrongly_covered(&unlisted).unwrap(), unlisted.pages);
    for url in UNCOVERED {
        sites.play_uncovered(url).unwrap();
    }
    sites.close();
}
