//! Which way to the device is taken and why, and what can be known of it without taking it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use offstage_protocol::error::ErrorCode;

#[cfg(unix)]
use self::unix as own;
#[cfg(windows)]
use self::windows as own;
use crate::channel::Channel as _;
use crate::channel::choice::Choice;
use crate::doctor::Answer;

pub(crate) fn examine(choice: &Choice) -> Vec<Answer> {
    let told = format!("{}: {}", choice.channel.kind(), choice.reason);
    let mut answers = vec![match &choice.problem {
        None => Answer::ok("channel", told),
        Some(problem) => Answer::fail("channel", ErrorCode::CONFIG_INVALID, format!("{told}; {problem}")),
    }];
    answers.extend(own::examine(&choice.channel));
    answers
}
