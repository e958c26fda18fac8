// World: MAIN. What of calls is a browser's own and must be the device's: certificates, and the codecs that it can send and receive.

/** A certificate's own fingerprint, which its copies (postMessage) have as well → {id, expires, fingerprints} of its twin on the device. */
let certificates = table();
const MOST_CERTIFICATES = 200;
const fingerprintsOf = window.RTCCertificate && bound(RTCCertificate.prototype.getFingerprints);
const twinOf = (certificate) => { let own = null; succeeds(() => { own = fingerprintsOf(certificate)[0].value; }); return own && certificates.get(own); };
/** Whether the device has twins of all of them: no certificate can leave the session. */
const deviceHas = (given) => given.every(twinOf);
const namesOf = (given) => given.map((one) => (twinOf(one) || {}).id);
const forgetCertificates = (given) => { for (const one of given) certificates.delete(fingerprintsOf(one)[0].value); };
const loseCertificates = () => { [certificates, calls.capabilities] = list(table(), null); };

/** {sender: {audio, video}, receiver: {audio, video}}: the device's, as soon as they are known. */
function learnCapabilities() { apply(then, ask('getCapabilities', 0), [({ value }) => { calls.capabilities = value; }, () => {}]); }

/** What of a page's wish for codecs the page's own connection can be told: those that it has not are the device's business. */
function codecsHere(kind, wanted) {
  const there = calls.capabilities && calls.capabilities.receiver[kind];
  if (!there || !native.isArray(wanted)) return wanted;
  const named = ({ mimeType, clockRate, channels, sdpFmtpLine }) => `${upper(`${mimeType}`)} ${clockRate} ${channels || 1} ${sdpFmtpLine || ''}`;
  const [ours, theirs] = list(capabilitiesHere(kind).codecs, there.codecs).map((codecs) => toList(codecs).map(named));
  return [...toList([...wanted]).filter((codec) => ours.includes(named(codec)) || !theirs.includes(named(codec)))];
}
let capabilitiesHere = null;

if (PC) {
  const Own = pcn.Connection;
  patchMethod(Own, 'generateCertificate', (target, self, args) => {
    const own = apply(target, self, args);
    if (!link || args.length === 0) return own;
    callBegins();
    if (calls.state === 'session') return own;
    return promised(async () => {
      const certificate = await safe(own);
      if (calls.state === 'asking') await calls.decided;
      if (calls.state !== 'device') return certificate;
      const [given] = args;
      const algorithm = typeof given === 'object' ? { ...given, publicExponent: given.publicExponent && [...given.publicExponent] } : `${given}`;
      const id = nextId();
      try {
        const { value } = await ask('generateCertificate', 0, list(algorithm, id));
        certificates.set(fingerprintsOf(certificate)[0].value, { __proto__: null, id, expires: value.expires, fingerprints: value.fingerprints });
        certificates.limit(MOST_CERTIFICATES);
      } catch { /* then its connections are the session's */ }
      return certificate;
    });
  });
  if (window.RTCCertificate) {
    patchAccessor(RTCCertificate.prototype, 'expires', (target, self) => {
      const twin = twinOf(self);
      return twin ? twin.expires : apply(target, self, []);
    });
    patchMethod(RTCCertificate.prototype, 'getFingerprints', (target, self, args) => {
      const twin = twinOf(self);
      return twin ? parse(stringify(twin.fingerprints)) : apply(target, self, args);
    });
  }
  for (const [Interface, side] of [[RTCRtpSender, 'sender'], [RTCRtpReceiver, 'receiver']]) {
    const own = Interface.getCapabilities.bind(Interface);
    if (side === 'receiver') capabilitiesHere = own;
    patchMethod(Interface, 'getCapabilities', (target, self, args) => {
      if (link && args.length) callBegins();
      const known = calls.state === 'device' && calls.capabilities && calls.capabilities[side][`${args[0]}`];
      return known ? parse(stringify(known)) : apply(target, self, args);
    });
  }
}
