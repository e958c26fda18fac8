//! Small bridges to JavaScript values that may come from another document's realm or throw.

use core::cell::Cell;

use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::Performance;

use crate::machine::event::Exception;

thread_local! {
    static CLOCK: Option<Performance> = web_sys::window().and_then(|window| window.performance());
    /// Milliseconds to add to the performance clock for the wall clock.
    static WALL_OFFSET: Cell<f64> = const { Cell::new(0.0) };
}

/// How far the two clocks may part before the wall clock is believed: it was set, or the machine has slept.
const WALL_TOLERANCE_MS: f64 = 5.0;

/// Milliseconds on the monotonic clock.
pub(super) fn now_ms() -> f64 {
    CLOCK.with(|clock| clock.as_ref().map_or(0.0, Performance::now))
}

/// Microseconds since the Unix epoch, finer than `Date.now()` and still right after a suspend.
pub(super) fn wall_us() -> u64 {
    let now = now_ms();
    let coarse = js_sys::Date::now();
    let mut offset = WALL_OFFSET.get();
    if offset == 0.0 {
        offset = CLOCK.with(|clock| clock.as_ref().map_or(coarse, Performance::time_origin));
    }
    if (now + offset - coarse).abs() > WALL_TOLERANCE_MS {
        offset = coarse - now;
    }
    WALL_OFFSET.set(offset);
    whole((now + offset) * 1000.0)
}

/// A number of JavaScript as a whole one.
pub(super) fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and these numbers are counters and times"
    )]
    let whole = number.round() as u64;
    whole
}

/// A property that is a number; NaN if it is none.
pub(super) fn number(object: &JsValue, name: &str) -> f64 {
    let value = js_sys::Reflect::get(object, &JsValue::from_str(name));
    value.ok().and_then(|value| value.as_f64()).unwrap_or(f64::NAN)
}

/// A property that counts something; 0 where the engine doesn't have it.
pub(super) fn count(object: &JsValue, name: &str) -> u64 {
    whole(number(object, name))
}

/// A number of JavaScript as a whole one of 32 bits.
pub(super) fn short(number: f64) -> u32 {
    u32::try_from(whole(number)).unwrap_or(u32::MAX)
}

/// Writes a property; setters of media objects throw, and web-sys does not catch that.
pub(super) fn write(object: &JsValue, name: &str, value: impl Into<JsValue>) -> Result<(), JsValue> {
    js_sys::Reflect::set(object, &JsValue::from_str(name), &value.into()).map(|_| ())
}

fn text(object: &JsValue, name: &str) -> String {
    js_sys::Reflect::get(object, &JsValue::from_str(name))
        .ok()
        .and_then(|value| value.as_string())
        .unwrap_or_default()
}

/// A thrown value's name and message.
pub(super) fn exception(thrown: &JsValue) -> Exception {
    if thrown.is_object() {
        let (mut name, message) = (text(thrown, "name"), text(thrown, "message"));
        let constraint = text(thrown, "constraint");
        if !constraint.is_empty() {
            name = format!("{name}/{constraint}");
        }
        Exception { name, message }
    } else {
        Exception { name: "Error".to_owned(), message: thrown.as_string().unwrap_or_default() }
    }
}

/// The same object under another type; `instanceof` is of no use across documents.
pub(super) fn cast<T: wasm_bindgen::JsCast>(value: impl Into<JsValue>) -> T {
    value.into().unchecked_into()
}

pub(super) fn log(text: &str) {
    gloo::console::warn!(text);
}

/// A number as CSS text. Written by the engine, because Rust's own way of doing it weighs 25 kB here.
pub(super) fn decimal(number: f64) -> String {
    js_sys::Number::from(number).to_string_with_radix(10).map(String::from).unwrap_or_default()
}
