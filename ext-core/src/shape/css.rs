//! Computed values as browsers write them: lengths, transforms, filters.

use super::{Node, UPRIGHT};

/// Functions of `filter` that change colours and nothing else.
const COLOUR_FILTERS: [&str; 7] =
    ["brightness(", "contrast(", "grayscale(", "hue-rotate(", "invert(", "saturate(", "sepia("];

/// The part of a 2D transform that isn't its translation: x' = a x + c y, y' = b x + d y.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Linear {
    pub(super) a: f64,
    pub(super) b: f64,
    pub(super) c: f64,
    pub(super) d: f64,
}

impl Default for Linear {
    fn default() -> Self {
        Self { a: 1.0, b: 0.0, c: 0.0, d: 1.0 }
    }
}

impl Linear {
    /// What `inner` becomes inside of this one.
    pub(super) fn then(self, inner: Self) -> Self {
        Self {
            a: self.a * inner.a + self.c * inner.b,
            b: self.b * inner.a + self.d * inner.b,
            c: self.a * inner.c + self.c * inner.d,
            d: self.b * inner.c + self.d * inner.d,
        }
    }

    /// A direction.
    pub(super) fn of(self, [x, y]: [f64; 2]) -> [f64; 2] {
        [self.a * x + self.c * y, self.b * x + self.d * y]
    }

    /// The direction that it makes this one of.
    pub(super) fn back(self, [x, y]: [f64; 2]) -> Option<[f64; 2]> {
        let Self { a, b, c, d } = self;
        let det = a * d - b * c;
        let found = [(d * x - c * y) / det, (a * y - b * x) / det];
        found.iter().all(|side| side.is_finite()).then_some(found)
    }

    /// Neither turned, mirrored nor stretched: scaled at most.
    pub(super) fn is_upright(self) -> bool {
        let near = |value: f64, to: f64| (value - to).abs() <= UPRIGHT * self.a.abs();
        // Sides are measured in whole pixels: a stretch by less than a hundredth can come of that.
        self.a > 0.0 && near(self.b, 0.0) && near(self.c, 0.0) && (self.d / self.a - 1.0).abs() < 0.01
    }
}

/// A length or a share of something.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Length {
    pub(super) percent: f64,
    pub(super) px: f64,
}

impl Length {
    pub(super) fn of(self, whole: f64) -> f64 {
        self.percent / 100.0 * whole + self.px
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// `12.5px`, `50%`, or `calc()` of one of each.
pub(super) fn length(text: &str) -> Option<Length> {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix("calc(").and_then(|rest| rest.strip_suffix(')')) {
        let mut words = inner.split_whitespace();
        let (one, sign, two) = (length(words.next()?)?, words.next()?, length(words.next()?)?);
        let sign = match sign {
            "+" => 1.0,
            "-" => -1.0,
            _ => return None,
        };
        let sum = Length { percent: one.percent + sign * two.percent, px: one.px + sign * two.px };
        return words.next().is_none().then_some(sum);
    }
    if let Some(percent) = text.strip_suffix('%') {
        return Some(Length { percent: number(percent)?, px: 0.0 });
    }
    let px = number(text.strip_suffix("px").unwrap_or(text))?;
    Some(Length { percent: 0.0, px })
}

/// The parts of a value between spaces that stand in no brackets.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    parts(text, char::is_whitespace).filter(|part| !part.is_empty())
}

pub(super) fn parts(text: &str, is_border: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |letter: char| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth <= 0 && is_border(letter)
    })
}

/// `translate`, `rotate`, `scale` and `transform` of an element, in the order in which they apply, as what they make of directions and by
/// how many CSS pixels they move; none if it leaves the plane.
pub(super) fn transform(node: &Node) -> Option<(Linear, [f64; 2])> {
    let none = |text: &str| text.is_empty() || text == "none";
    let mut total = Linear::default();
    let mut by = [0.0; 2];
    if !none(&node.translate) {
        let mut lengths = words(&node.translate).map(length);
        let (x, y) = (lengths.next()??, lengths.next().unwrap_or(Some(Length::default()))?);
        by = [x.of(node.own[0]), y.of(node.own[1])];
    }
    if !none(&node.rotate) {
        total = total.then(rotated(&node.rotate)?);
    }
    if !none(&node.scale) {
        let mut numbers = node.scale.split_whitespace().map(number);
        let x = numbers.next()??;
        let y = numbers.next().unwrap_or(Some(x))?;
        total = total.then(Linear { a: x, b: 0.0, c: 0.0, d: y });
    }
    if !none(&node.transform) {
        let (inner, moved) = matrix(&node.transform)?;
        let [x, y] = total.of(moved);
        by = [by[0] + x, by[1] + y];
        total = total.then(inner);
    }
    Some((total, by))
}

/// `transform-origin` as computed, from the border box's upper left corner; its middle if nothing is told.
pub(super) fn origin(node: &Node) -> [f64; 2] {
    let mut lengths = words(&node.origin).map(|word| length(word).map(|length| length.px));
    match (lengths.next().flatten(), lengths.next().flatten()) {
        (Some(x), Some(y)) => [x, y],
        (Some(_) | None, None) | (None, Some(_)) => node.own.map(|side| side / 2.0),
    }
}

fn rotated(text: &str) -> Option<Linear> {
    let text = text.strip_prefix("z ").unwrap_or(text);
    let degrees = number(text.strip_suffix("deg")?)?;
    // Right angles exactly: the cosine of 90° is not quite 0.
    let (sin, cos) = match degrees.rem_euclid(360.0) {
        90.0 => (1.0, 0.0),
        180.0 => (0.0, -1.0),
        270.0 => (-1.0, 0.0),
        turn => turn.to_radians().sin_cos(),
    };
    Some(Linear { a: cos, b: sin, c: -sin, d: cos })
}

fn matrix(text: &str) -> Option<(Linear, [f64; 2])> {
    let flat = |text: &str| text.split(',').map(number).collect::<Option<Vec<f64>>>();
    if let Some(inner) = text.strip_prefix("matrix(").and_then(|rest| rest.strip_suffix(')')) {
        let [a, b, c, d, e, f] = flat(inner)?.try_into().ok()?;
        return Some((Linear { a, b, c, d }, [e, f]));
    }
    let inner = text.strip_prefix("matrix3d(")?.strip_suffix(')')?;
    let m: [f64; 16] = flat(inner)?.try_into().ok()?;
    // Without perspective what lies in the plane and is moved out of it looks the same.
    let in_plane = [2, 3, 6, 7, 8, 9, 11].iter().all(|index| m.get(*index) == Some(&0.0)) && m[15] == 1.0;
    in_plane.then_some((Linear { a: m[0], b: m[1], c: m[4], d: m[5] }, [m[12], m[13]]))
}

/// The filters of the element and of all around it, in the order in which they apply.
pub(super) fn filters(nodes: &[Node]) -> Option<String> {
    let mut all = Vec::new();
    for filter in nodes.iter().flat_map(|node| words(&node.filter)).filter(|filter| *filter != "none") {
        let arguments =
            COLOUR_FILTERS.iter().find_map(|name| filter.strip_prefix(name))?.strip_suffix(')')?;
        arguments
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "+-.%".contains(letter))
            .then_some(())?;
        all.push(filter);
    }
    let text = all.join(" ");
    (text.len() <= 200).then_some(text)
}
