//! What of calls is the browser's own: certificates, and what it can send and receive.

use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use super::devices::promise;
use super::{Given, LiveCall, Result, method, number, unknown};
use crate::browser::with_shell;

impl LiveCall {
    /// A page's configuration with the certificates that its numbers stand for.
    pub(super) fn configuration(&self, config: &JsValue) -> Result {
        let Ok(numbers) = Reflect::get(config, &"certificates".into())?.dyn_into::<Array>() else {
            return Ok(config.clone());
        };
        let certificates = Array::new();
        for one in numbers.iter() {
            certificates.push(self.certificates.get(number(&one)).ok_or_else(|| unknown("certificate"))?);
        }
        Reflect::set(config, &"certificates".into(), &certificates)?;
        Ok(config.clone())
    }

    /// `[algorithm, number]`; gives `{expires, fingerprints}`.
    pub(super) fn generate_certificate(&self, args: &Array) -> Result<Given> {
        self.check_room(self.certificates.len())?;
        let (call, algorithm, id) = (self.call, args.get(0), number(&args.get(1)));
        // JSON has no bytes.
        let exponent = algorithm.is_object().then(|| Reflect::get(&algorithm, &"publicExponent".into()));
        if let Some(bytes) = exponent.transpose()?.and_then(|bytes| bytes.dyn_into::<Array>().ok()) {
            Reflect::set(&algorithm, &"publicExponent".into(), &Uint8Array::new(&bytes))?;
        }
        let made = promise(&interface("RTCPeerConnection")?, "generateCertificate", &[algorithm])?;
        Ok(Given::Promise(future_to_promise(async move {
            let certificate = JsFuture::from(made).await?;
            let told = Object::new();
            let expires = Reflect::get(&certificate, &"expires".into())?;
            Reflect::set(&told, &"expires".into(), &expires)?;
            let fingerprints = method(&certificate, "getFingerprints", &[])?;
            Reflect::set(&told, &"fingerprints".into(), &fingerprints)?;
            with_shell(|shell| {
                if let Some(live) = shell.calls.get_mut(call) {
                    live.certificates.insert(id, certificate);
                }
            });
            Ok(told.into())
        })))
    }
}

/// `{sender: {audio, video}, receiver: {audio, video}}`, as `getCapabilities` of each gives them.
pub(super) fn capabilities() -> Result {
    let told = Object::new();
    for (name, side) in [("RTCRtpSender", "sender"), ("RTCRtpReceiver", "receiver")] {
        let (of, kinds) = (interface(name)?, Object::new());
        for kind in ["audio", "video"] {
            Reflect::set(&kinds, &kind.into(), &method(&of, "getCapabilities", &[kind.into()])?)?;
        }
        Reflect::set(&told, &side.into(), &kinds)?;
    }
    Ok(told.into())
}

fn interface(name: &str) -> Result {
    let constructor: Function = Reflect::get(&js_sys::global(), &name.into())?.dyn_into()?;
    Ok(constructor.into())
}
