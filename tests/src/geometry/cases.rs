//! The matrix: what is around the video, and what is over it.
//!
//! The page has `#a` (480×270 at 40, 50) with `#b` with `#c` with the video `#v`. `near` is put beside the video, `far` at the end of the
//! document; what has the class `over`, or the attribute in a shadow tree, is an overlay that has to stay whole; a `region` is where the
//! browser itself paints over the video.

use super::compare::Difference;
use super::{MOST_ERROR, SCALES};

/// Where a case plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The device can show it.
    Device,
    /// Only the session can.
    Session,
}

impl Place {
    /// How what is seen begins.
    #[must_use]
    pub fn wanted(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Session => "session",
        }
    }
}

/// One layout.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    pub(super) css: &'static str,
    pub(super) near: &'static str,
    pub(super) far: &'static str,
    pub(super) script: &'static str,
    pub(super) scroll: &'static [i64],
    pub(super) zoom: f64,
    pub(super) framed: bool,
    pub(super) place: Place,
    /// How far an edge may be off, in pixels.
    pub(super) within: i64,
    /// At these scale factors.
    pub scales: &'static [f64],
}

impl Case {
    /// Nothing but the video.
    pub(super) const PLAIN: Self = case("plain");

    /// `ok`, or what is wrong.
    #[must_use]
    pub fn judge(&self, seen: &Difference, placed: &str) -> String {
        let mut wrong = Vec::new();
        if !placed.starts_with(self.place.wanted()) {
            wrong.push(format!("plays on the {placed}, not on the {}", self.place.wanted()));
        }
        if seen.error_px > self.within {
            wrong.push(format!("an edge is {} px off", seen.error_px));
        }
        if seen.content_px > MOST_CONTENT {
            wrong.push(format!("another picture, {} px thick", seen.content_px));
        }
        if seen.overlays_damaged > 0 {
            wrong.push(format!("{} of {} overlays damaged", seen.overlays_damaged, seen.overlays));
        }
        if wrong.is_empty() { "ok".to_owned() } else { wrong.join("; ") }
    }

    const fn css(self, css: &'static str) -> Self {
        Self { css, ..self }
    }
    const fn near(self, near: &'static str) -> Self {
        Self { near, ..self }
    }
    const fn far(self, far: &'static str) -> Self {
        Self { far, ..self }
    }
    const fn script(self, script: &'static str) -> Self {
        Self { script, ..self }
    }
    const fn scroll(self, scroll: &'static [i64]) -> Self {
        Self { scroll, ..self }
    }
    const fn zoom(self, zoom: f64) -> Self {
        Self { zoom, ..self }
    }
    const fn framed(self) -> Self {
        Self { framed: true, ..self }
    }
    const fn session(self) -> Self {
        Self { place: Place::Session, ..self }
    }
    const fn scales(self, scales: &'static [f64]) -> Self {
        Self { scales, ..self }
    }
}

/// Two scalers draw the edges between the chart's fields differently by this much.
const MOST_CONTENT: i64 = 2;

const fn case(name: &'static str) -> Case {
    Case {
        name,
        css: "",
        near: "",
        far: "",
        script: "",
        scroll: &[0],
        zoom: 1.0,
        framed: false,
        place: Place::Device,
        scales: &SCALES,
        within: MOST_ERROR,
    }
}

/// Whole, a little and by an odd number up, and half out.
const POSITIONS: &[i64] = &[0, 37, 201];

/// At 1.5 its padding and border are halves of pixels, and one of its edges goes another way there than edges at all other scale factors.
const PADDED: &str = "border and padding";

/// All cases; those that play in the session are the last ones, because it takes a while until the picture is back.
#[must_use]
pub fn cases() -> Vec<Case> {
    // Upright edges are whole pixels, and have to be the same ones. Round and slanting ones are smoothed by the browser, not by a window.
    let within = |case: &Case| if case.name == PADDED { MOST_ERROR } else { 0 };
    let exact = BOXES.iter().chain(OVERLAYS).map(|case| Case { within: within(case), ..*case });
    let mut all: Vec<Case> = exact.chain(SHAPES.iter().chain(FRAMES).chain(ZOOMED).copied()).collect();
    all.sort_by_key(|case| (case.place == Place::Session, case.framed));
    all
}

/// Where the box is, and where in it the picture.
const BOXES: &[Case] = &[
    case("plain").scroll(POSITIONS),
    case("at half pixels").css("#a { left: 40.5px; top: 50.5px }").scroll(POSITIONS),
    case("at thirds of pixels").css("#a { left: 40.33px; top: 50.67px } #v { width: 470.4px; height: 264.6px }"),
    case("border").css("#v { border: 7px solid #22c; box-sizing: border-box }").scroll(POSITIONS),
    case("border and padding").css("#v { border: 5px solid #22c; padding: 11px 3px 6px 17px; background: #ddd }").scroll(POSITIONS),
    case("thin border at a fraction").css("#v { border: 1.5px solid #22c; padding: 0.7px; box-sizing: border-box }"),
    case("object-fit contain").css("#v { width: 300px; background: #888; object-fit: contain }").scroll(POSITIONS),
    case("object-fit contain, tall, at a corner").css("#v { width: 200px; background: #888; object-position: 100% 0 }"),
    case("object-fit cover").css("#v { width: 300px; object-fit: cover }").scroll(POSITIONS),
    case("object-fit cover at 20% 70%").css("#v { width: 480px; height: 120px; object-fit: cover; object-position: 20% 70% }"),
    case("object-fit fill").css("#v { width: 300px; object-fit: fill }"),
    case("object-fit none").css("#v { object-fit: none; object-position: 30px 20px; background: #888 }"),
    case("object-fit scale-down").css("#v { width: 300px; object-fit: scale-down; object-position: left bottom; background: #888 }"),
    case("object-position in lengths").css("#v { width: 300px; background: #888; object-position: right 10px top 13px }"),
    case("in nested scroll containers")
        .css("#a { overflow: auto; height: 240px; border: 3px solid #22c } #b { overflow: scroll; height: 300px; width: 440px } #c { padding: 20px; height: 500px; width: 600px }")
        .script("globalThis.scroller = b; a.scrollTo(0, 13); b.scrollTo(31, 0); undo.push(() => { globalThis.scroller = null; });")
        .scroll(&[0, 17, 150]),
    case("in a card, half out")
        .css("#a { overflow: hidden; width: 300px; height: 170px; border: 4px solid #22c } #b { margin: -40px 0 0 -60px }")
        .scroll(&[0, 23]),
    case("in a card that clips one way").css("#a { overflow-x: clip; width: 300px } #b { margin-left: -50px }"),
    case("in a card with overflow-clip-margin").css("#a { overflow: clip; overflow-clip-margin: 9px; width: 300px; height: 200px }"),
    case("contained").css("#a { contain: paint; width: 300px; height: 200px }"),
    case("absolute, out of a card that doesn't hold it").css("#a { position: static } #b { overflow: hidden; width: 100px; height: 50px } #c { position: static } #v { position: absolute; left: 60px; top: 70px }"),
    case("sticky").css("#a { height: 900px } #c { position: sticky; top: 20px; height: 270px }").scroll(&[0, 60, 300]),
    case("fixed").css("#a { position: fixed }").scroll(&[0, 99]),
    case("reaching out at the right and at the bottom").css("#a { left: 330px; top: 300px }").scroll(&[0, 40]),
];

/// What is more than a box.
const SHAPES: &[Case] = &[
    case("radius 16px").css("#v { border-radius: 16px }").scroll(POSITIONS),
    case("radius 50%").css("#v { border-radius: 50% }"),
    case("radii that differ").css("#v { border-radius: 60px 10px / 20px 90px }"),
    case("radius and border")
        .css("#v { border-radius: 30px; border: 8px solid #22c; box-sizing: border-box }"),
    case("radius of an ancestor").css("#a { border-radius: 24px; overflow: hidden }").scroll(POSITIONS),
    case("radius 50% of an ancestor").css("#b { border-radius: 50%; overflow: hidden }"),
    case("radius of an ancestor with a border")
        .css("#a { border: 6px solid #22c; border-radius: 40px; overflow: hidden }"),
    case("clip-path inset").css("#v { clip-path: inset(10px 30px 20% 15px) }").scroll(&[0, 37]),
    case("clip-path inset, round").css("#v { clip-path: inset(10px round 40px) }"),
    case("clip-path circle").css("#v { clip-path: circle(110px at 60% 50%) }"),
    case("clip-path ellipse").css("#v { clip-path: ellipse(40% 30%) }"),
    case("clip-path polygon")
        .css("#v { clip-path: polygon(50% 0, 100% 60%, 80% 100%, 10% 90%, 0 30%) }")
        .scroll(&[0, 37]),
    case("clip-path of an ancestor").css("#a { clip-path: circle(45%) }"),
    case("clip-path polygon of an ancestor").css("#b { clip-path: polygon(0 0, 100% 0, 70% 100%, 20% 80%) }"),
    case("opacity").css("#v { opacity: .5 }"),
    case("opacity of an ancestor").css("#a { opacity: .6 }"),
    case("translate").css("#a { transform: translate(33px, 21px) }").scroll(POSITIONS),
    case("translate by fractions").css("#a { translate: 10.25px 7.75px }"),
    case("scale").css("#a { transform: scale(.8) }").scroll(POSITIONS),
    case("scale of the element").css("#v { scale: 1.1 }"),
    case("uneven scale").css("#a { transform: scale(.9, .6) }"),
    case("rotate 8deg").css("#a { transform: rotate(8deg) }").scroll(&[0, 37]),
    case("rotate 90deg").css("#a { transform: rotate(90deg) scale(.7) }"),
    case("rotate 180deg").css("#v { rotate: 180deg }"),
    case("mirrored").css("#v { transform: scaleX(-1) }").scroll(&[0, 37]),
    case("skew").css("#a { transform: skewX(12deg) scale(.8) }"),
    case("matrix of an ancestor").css("#b { transform: matrix(.8, .2, -.1, .9, 20, 10) }"),
    case("rotated in a card")
        .css("#a { overflow: hidden; border: 4px solid #22c } #b { transform: rotate(-12deg) }"),
    case("rotated, with an overlay")
        .css("#a { transform: rotate(8deg) } .over { position: absolute; inset: auto 0 0; height: 40px }")
        .near("<div class=over>controls</div>"),
    case("rotated, with border and padding").css("#a { transform: rotate(8deg) } #v { border: 5px solid #22c; padding: 11px 3px 6px 17px; background: #ddd; box-sizing: border-box }"),
    case("rotated card that cuts").css("#a { transform: rotate(-10deg); overflow: hidden; border: 7px solid #22c } #c { margin: -20px 0 0 -30px }"),
    case("rotated about a corner").css("#a { transform: rotate(6deg); transform-origin: 10px 30px }").scroll(&[0, 37]),
    case("rotated twice").css("#a { transform: rotate(11deg) } #c { left: 7.3px; top: 3.1px; transform: rotate(-5deg) scale(.9) }"),
    case("rotated, object-fit contain, round").css("#a { transform: rotate(8deg) } #v { width: 300px; background: #888; border-radius: 30px; object-fit: contain }"),
    case("scaled about a corner, at thirds").css("#a { left: 40.33px; top: 50.67px; transform: scale(.73); transform-origin: 0 0 }").scroll(POSITIONS),
    case("filter brightness").css("#v { filter: brightness(.6) }"),
    case("rotated in 3D").css("#a { transform: perspective(600px) rotateY(25deg) }").session(),
    case("mix-blend-mode").css("#v { mix-blend-mode: multiply } body { background: #fff }").session(),
    case("mask").css("#v { mask-image: linear-gradient(90deg, #000 60%, transparent) }").session(),
];

/// What the page paints over the video, and what it only seems to.
const OVERLAYS: &[Case] = &[
    case("control bar").near("<div class=over>0:12 / 10:00</div>").css(".over { position: absolute; inset: auto 0 0; height: 44px }").scroll(POSITIONS),
    case("big play button").near("<button class=over>Play</button>").css(".over { position: absolute; left: 200px; top: 100px; width: 80px; height: 60px; border: 0 }").scroll(POSITIONS),
    case("round play button").near("<button class=over>Play</button>").css(".over { position: absolute; left: 200px; top: 95px; width: 80px; height: 80px; border: 0; border-radius: 50% }"),
    case("caption line").near("<div id=lines><span class=over>What somebody says just now</span></div>").css("#lines { position: absolute; inset: auto 0 30px; text-align: center; pointer-events: none } .over { background: #000 }"),
    case("menu at the top right").near("<ul class=over><li>Quality<li>Speed<li>Captions</ul>").css(".over { position: absolute; right: 12px; top: 8px; margin: 0; width: 130px; list-style: none; padding: 6px }"),
    case("menu that reaches out").near("<ul class=over><li>Quality<li>Speed<li>Captions</ul>").css(".over { position: absolute; left: 400px; top: 60px; margin: 0; width: 160px; height: 300px; list-style: none; padding: 6px }"),
    case("cookie banner").far("<div class=over>We value your privacy <button>Accept</button></div>").css(".over { position: fixed; inset: auto 0 0; height: 330px }").scroll(POSITIONS),
    case("badge that lets the pointer through").near("<div class=over>LIVE</div>").css(".over { position: absolute; right: 10px; top: 10px; width: 50px; height: 20px; pointer-events: none }").scroll(POSITIONS),
    case("badge elsewhere in the document, for no pointer").far("<div class=over>LIVE</div>").css(".over { position: absolute; left: 60px; top: 70px; width: 50px; height: 20px; pointer-events: none }"),
    case("badge of 12 by 12").near("<div class=over></div>").css(".over { position: absolute; left: 143px; top: 97px; width: 12px; height: 12px }").scroll(&[0, 37]),
    case("badge of 12 by 12 for no pointer, elsewhere").far("<div class=over></div>").css(".over { position: absolute; left: 303px; top: 207px; width: 12px; height: 12px; pointer-events: none }"),
    case("badge of a ::before").css("#c::before { content: 'NEW'; position: absolute; z-index: 1; left: 20px; top: 20px; width: 50px; height: 20px; background: #d02020 } .over { position: absolute; left: 20px; top: 20px; width: 50px; height: 20px; opacity: 0; pointer-events: none }").near("<div class=over></div>"),
    case("scrim behind controls").near("<div id=scrim></div><div id=bar class=over>0:12</div>").css("#scrim { position: absolute; inset: auto 0 0; height: 90px; background: linear-gradient(transparent, rgb(0 0 0 / .8)); pointer-events: none } #bar { position: absolute; inset: auto 10px 5px; height: 30px }"),
    case("veil over all of it").near("<div id=veil></div><div class=over>title</div>").css("#veil { position: absolute; inset: 0; background: rgb(0 0 0 / .02) } .over { position: absolute; left: 10px; top: 10px; width: 100px; height: 24px }"),
    case("veil of a gradient, translucent").near("<div id=veil></div>").css("#veil { position: absolute; inset: 30px; border-radius: 20px; opacity: .6; background: linear-gradient(90deg, rgb(0 0 0 / .9), rgb(255 0 0 / .5)) }"),
    case("letters without a ground").near("<div class=over>title of the video</div>").css(".over { position: absolute; left: 10px; top: 10px; background: none; color: #fff; font: bold 24px sans-serif; white-space: nowrap }"),
    case("native controls").script("v.controls = true; v.pause(); undo.push(() => { v.controls = false; return v.play(); });").far("<div class=region></div>").css(".region { position: absolute; left: 40px; top: 236px; width: 480px; height: 84px; pointer-events: none }"),
    case("native captions").script("const track = v.addTextTrack('captions', 'c', 'en'); track.mode = 'showing'; track.addCue(new VTTCue(0, 9999, 'What somebody says')); undo.push(() => { track.mode = 'disabled'; });").far("<div class=region></div>").css(".region { position: absolute; left: 40px; top: 280px; width: 480px; height: 40px; pointer-events: none }"),
    case("open dialog").far("<dialog class=over>Are you there?</dialog>").script("const d = o.querySelector('dialog'); d.showModal();").css("dialog { left: 120px; top: 90px; margin: 0; width: 200px; height: 90px; border: 0; padding: 9px } dialog::backdrop { background: none }"),
    case("popover").far("<div popover class=over>Hint</div>").script("o.firstElementChild.showPopover();").css(".over { inset: auto; left: 220px; top: 120px; margin: 0; width: 120px; height: 50px; border: 0 }"),
    case("header under which it scrolls").far("<header class=over>Site</header>").css(".over { position: fixed; inset: 0 0 auto; height: 56px }").scroll(&[0, 37, 120]),
    case("sticky header").far("<header class=over>Site</header>").css("#o { position: absolute; inset: 0; pointer-events: none } .over { position: sticky; top: 0; height: 60px; margin-top: 30px }").scroll(&[0, 60]),
    case("overlay in a shadow tree").near("<div id=host></div>").script("const root = c.querySelector('#host').attachShadow({ mode: 'open' }); root.innerHTML = '<div over style=\"position: absolute; left: 30px; top: 180px; width: 140px; height: 50px; background: #d02020\">in a tree</div>';"),
    case("overlay frame").far("<iframe class=over srcdoc='<body style=\"background:#d02020\">ad'></iframe>").css(".over { position: absolute; left: 250px; top: 130px; width: 200px; height: 90px; border: 0 }"),
    case("overlay image, canvas and svg").near("<canvas class=over width=40 height=40 style='left:10px'></canvas><svg class=over viewBox='0 0 40 40' style='left:70px'><rect width=40 height=40 fill='#d02020'/></svg>").css(".over { position: absolute; top: 20px; width: 40px; height: 40px }"),
    case("overlay that is turned").near("<div class=over></div>").css(".over { position: absolute; left: 200px; top: 100px; width: 70px; height: 70px; transform: rotate(45deg) }"),
    case("shadow of a card").near("<div class=over>card</div>").css(".over { position: absolute; left: 200px; top: 100px; width: 90px; height: 60px; outline: 6px solid #000 }"),
    case("many overlays").script("for (let i = 0; i < 30; i++) { const d = document.createElement('div'); d.className = 'over'; d.style.cssText = `position: absolute; left: ${10 + i % 6 * 78}px; top: ${8 + Math.floor(i / 6) * 52}px; width: 30px; height: 20px`; c.append(d); }"),
    case("z-index -1 doesn't cut").far("<div id=under></div>").css("#under { position: absolute; z-index: -1; left: 0; top: 0; width: 400px; height: 300px; background: #d02020 } #o { position: static }"),
    case("what is under it doesn't cut").css("#a { background: #d02020 } #o div { position: static; height: 200px; background: #22c }").far("<div></div>"),
    case("transparent layers don't cut").near("<div id=layer></div>").css("#layer { position: absolute; inset: 0 }"),
    case("moves there by an animation").near("<div class=over></div>").css("@keyframes go { from { left: 0 } to { left: 300px } } .over { position: absolute; top: 80px; left: 300px; width: 60px; height: 40px; animation: go .5s linear }"),
    case("comes late by a class").near("<div></div>").css(".over { position: absolute; top: 80px; left: 300px; width: 60px; height: 40px }").script("const late = c.lastElementChild; setTimeout(() => { late.className = 'over'; }, 300); await new Promise((done) => setTimeout(done, 320));"),
    case("comes by insertRule").near("<div id=late class=over></div>").css(".over { position: absolute; top: 80px; left: 300px; width: 60px; height: 40px }  ").script("const { sheet } = document.getElementById('style'); const at = sheet.insertRule('#late { display: none }', sheet.cssRules.length); await new Promise((done) => setTimeout(done, 500)); sheet.deleteRule(at);"),
    case("comes by adoptedStyleSheets").near("<div id=late class=over></div>").css("#late { display: none; position: absolute; top: 80px; left: 300px; width: 60px; height: 40px }").script("const sheet = new CSSStyleSheet(); sheet.replaceSync('#late { display: block !important }'); await new Promise((done) => setTimeout(done, 500)); document.adoptedStyleSheets = [sheet]; undo.push(() => { document.adoptedStyleSheets = []; });"),
    case("comes by CSSOM of a rule").near("<div id=late class=over></div>").css("#late { display: none; position: absolute; top: 80px; left: 300px; width: 60px; height: 40px }").script("await new Promise((done) => setTimeout(done, 500)); document.getElementById('style').sheet.cssRules[0].style.display = 'block';"),
    case("goes again by a class").near("<div id=late></div>").css("#late { position: absolute; top: 80px; left: 300px; width: 60px; height: 40px; background: #d02020 } #late.gone { display: none }").script("await new Promise((done) => setTimeout(done, 400)); late.className = 'gone';"),
];

/// With a frame in the video's place: everything about it is another document's, of another origin.
const FRAMES: &[Case] = &[
    case("frame").framed().scroll(POSITIONS),
    case("frame with border and padding").framed().css("#v { border: 5px solid #22c; padding: 11px 3px 6px 17px; background: #ddd }"),
    case("frame at half pixels").framed().css("#a { left: 40.5px; top: 50.5px }"),
    case("frame in a card, half out").framed().css("#a { overflow: hidden; width: 300px; height: 170px; border: 4px solid #22c } #b { margin: -40px 0 0 -60px }"),
    case("frame with a radius").framed().css("#a { border-radius: 24px; overflow: hidden }"),
    case("frame, scaled").framed().css("#a { transform: scale(.8) }"),
    case("frame, rotated 8deg").framed().css("#a { transform: rotate(8deg) }"),
    case("frame under a control bar").framed().near("<div class=over>0:12</div>").css(".over { position: absolute; inset: auto 0 0; height: 44px }"),
    case("frame under a cookie banner").framed().far("<div class=over>We value your privacy</div>").css(".over { position: fixed; inset: auto 0 0; height: 330px }"),
    case("frame under a badge for no pointer").framed().far("<div class=over></div>").css(".over { position: absolute; left: 303px; top: 207px; width: 12px; height: 12px; pointer-events: none }"),
];

/// The page's zoom.
const ZOOMED: &[Case] = &[
    case("zoom 50%").zoom(0.5).scroll(&[0, 37]).scales(&[1.0, 1.5, 2.0]),
    case("zoom 110%").zoom(1.1).scroll(&[0, 37]).scales(&[1.0, 1.25]),
    case("zoom 150%").zoom(1.5).scroll(&[0, 37]).scales(&[1.0, 1.25]),
    case("zoom 110%, border and control bar").zoom(1.1).css("#v { border: 5px solid #22c; box-sizing: border-box } .over { position: absolute; inset: auto 0 0; height: 44px }").near("<div class=over>0:12</div>").scroll(&[0, 37]).scales(&[1.0, 1.25]),
    case("zoom 110%, radius and rotated").zoom(1.1).css("#v { border-radius: 16px } #a { transform: rotate(8deg) }").scales(&[1.0, 1.25]),
    case("zoom 90%, rotated, with an overlay").zoom(0.9).css("#a { transform: rotate(8deg) } .over { position: absolute; inset: auto 0 0; height: 40px }").near("<div class=over>controls</div>").scales(&[1.0, 1.75]),
];
