//! The device's own fetching against servers of the test, honest and hostile, on loopback.

use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use proptest::prelude::*;

use super::*;

/// Answers every request on every connection with `answer`, given its head; keeps the heads.
async fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (u16, Arc<Mutex<Vec<String>>>) {
    serve_tls(answer, None).await
}

async fn serve_tls(
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
    tls: Option<TlsAcceptor>,
) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let (seen, answer) = (Arc::clone(&heads), Arc::new(answer));
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let (seen, answer, tls) = (Arc::clone(&seen), Arc::clone(&answer), tls.clone());
            let respond = move |head: &str| {
                seen.lock().unwrap().push(format!("{head}\n{peer}"));
                answer(head)
            };
            tokio::spawn(async move {
                match tls {
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => talk(stream, respond).await,
                        Err(_refused) => None,
                    },
                    None => talk(stream, respond).await,
                }
            });
        }
    });
    (port, heads)
}

async fn talk(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    respond: impl Fn(&str) -> String,
) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 1000];
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        if bytes.ends_with(b"\r\n\r\n") {
            let text = respond(&String::from_utf8(std::mem::take(&mut bytes)).unwrap());
            stream.write_all(text.as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
        }
    }
}

fn fetcher(ports: &[u16]) -> Fetcher {
    let guard = Guard { networks: vec!["127.0.0.1/32".parse().unwrap()], ports: ports.to_vec() };
    // An answer that never ends has to end the test soon.
    let limits = Limits { answer: Duration::from_millis(1500), whole: Duration::from_millis(3000) };
    Fetcher::new(guard, limits)
}

fn order(url: String) -> OwnFetch {
    let referer = "http://page.example/".to_owned();
    OwnFetch { request: 1, url, referer, total: Some(10), start: 2, end: 5 }
}

const GOOD: &str = "HTTP/1.1 206 x\r\nContent-Type: video/mp4\r\nContent-Range: bytes 2-4/10\r\nContent-Length: 3\r\n\r\nabc";

/// What comes of an answer.
async fn check(answer: &'static str, expected: Result<&str, FetchError>) {
    let (port, _) = serve(move |_| answer.to_owned()).await;
    let got = fetcher(&[port]).fetch(&order(format!("http://127.0.0.1:{port}/f"))).await;
    assert_eq!(
        got.map(|fetched| String::from_utf8(fetched.data).unwrap()),
        expected.map(str::to_owned),
        "{answer}"
    );
}

#[tokio::test]
async fn a_range_comes_without_anything_of_the_session_and_on_one_connection() {
    let (port, heads) = serve(|_| GOOD.to_owned()).await;
    let fetcher = fetcher(&[port]);
    let order = order(format!("http://127.0.0.1:{port}/a b?k=1#t=0"));
    for _ in 0..3 {
        let got = fetcher.fetch(&order).await.unwrap();
        let expected =
            Fetched { status: 200, total: Some(10), mime: "video/mp4".into(), data: b"abc".to_vec() };
        assert_eq!(got, expected);
    }
    let heads = heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 3);
    assert!(heads[0].starts_with("GET /a%20b?k=1 HTTP/1.1\r\n"), "{}", heads[0]);
    for part in
        ["range: bytes=2-4", "referer: http://page.example/", "user-agent: offstage-client/", "identity"]
    {
        assert!(heads[0].to_lowercase().contains(part), "{part}: {}", heads[0]);
    }
    assert!(!heads[0].to_lowercase().contains("cookie"));
    assert!(heads.iter().all(|head| head == &heads[0]), "from one port: {heads:?}");
}

#[tokio::test]
async fn what_is_not_the_asked_for_bytes_is_refused() {
    check(GOOD, Ok("abc")).await;
    check("HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n", Err(FetchError::Refused(401))).await;
    check("HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n", Err(FetchError::Refused(403))).await;
    check("HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", Err(FetchError::Refused(500))).await;
    check("HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\n0123456789", Err(FetchError::Differs)).await;
    for range in [
        "bytes 1-3/10",
        "bytes 2-5/10",
        "bytes 2-3/10",
        "bytes 2-4/11",
        "bytes 2-4/*",
        "bytes 4-2/10",
        "nonsense",
        "",
    ] {
        let answer = format!("HTTP/1.1 206 x\r\nContent-Range: {range}\r\nContent-Length: 3\r\n\r\nabc");
        check(answer.leak(), Err(FetchError::Differs)).await;
    }
    for more in [
        "Content-Encoding: gzip",
        "Content-Type: text/html; charset=x",
        "Content-Type: application/x-mpegURL",
    ] {
        let answer = format!(
            "HTTP/1.1 206 x\r\n{more}\r\nContent-Range: bytes 2-4/10\r\nContent-Length: 3\r\n\r\nabc"
        );
        check(answer.leak(), Err(FetchError::Differs)).await;
    }
}

#[tokio::test]
async fn hostile_servers_give_errors() {
    let range = "HTTP/1.1 206 x\r\nContent-Range: bytes 2-4/10\r\n";
    check("SSH-2.0-OpenSSH\r\n", Err(FetchError::Garbled)).await;
    check(format!("{range}Content-Length: 3\r\n\r\na").leak(), Err(FetchError::TooSlow)).await;
    check(
        format!("{range}Transfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n").leak(),
        Err(FetchError::Differs),
    )
    .await;
    check(format!("{range}Transfer-Encoding: chunked\r\n\r\nzz\r\n").leak(), Err(FetchError::Garbled)).await;
    check(format!("{range}Content-Length: 2\r\n\r\nab").leak(), Err(FetchError::Garbled)).await;
    check("", Err(FetchError::TooSlow)).await;
    check(format!("HTTP/1.1 206 x\r\nA: {}\r\n\r\n", "a".repeat(100_000)).leak(), Err(FetchError::Garbled))
        .await;
    check(format!("HTTP/1.1 206 x\r\n{}\r\n", "A: b\r\n".repeat(1000)).leak(), Err(FetchError::Garbled))
        .await;
}

#[tokio::test]
async fn a_server_without_ranges_gives_the_beginning() {
    for (end, expected) in [(4, "0123"), (20, "0123456789")] {
        let (port, _) = serve(|_| "HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\n0123456789".to_owned()).await;
        let order = OwnFetch { start: 0, end, total: None, ..order(format!("http://127.0.0.1:{port}/f")) };
        let got = fetcher(&[port]).fetch(&order).await.unwrap();
        assert_eq!((got.data.as_slice(), got.total), (expected.as_bytes(), Some(10)));
    }
}

#[tokio::test]
async fn redirects_are_checked_anew_and_counted() {
    let redirect = |to: &str| format!("HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: {to}\r\n\r\n");
    let (port, heads) = serve(move |head| {
        let to = head.split_whitespace().nth(1).unwrap();
        match to.split_once("?to=") {
            Some((_, to)) => redirect(to),
            None if to == "/loop" => redirect("/loop"),
            None => GOOD.to_owned(),
        }
    })
    .await;
    let fetcher = fetcher(&[port]);
    for (to, expected) in [
        ("/good", Ok(())),
        ("/loop", Err(FetchError::Redirected)),
        ("http://127.0.0.2/", Err(FetchError::Private)),
        ("http://10.0.0.1/", Err(FetchError::Private)),
        ("http://[::ffff:169.254.169.254]/", Err(FetchError::Private)),
        ("http://0x7f.2/", Err(FetchError::Private)),
        ("http://2130706434/", Err(FetchError::Private)),
        ("//[::1]/", Err(FetchError::Private)),
        ("http://127.0.0.1:22/", Err(FetchError::Address)),
        ("http://u:p@127.0.0.1/", Err(FetchError::Address)),
        ("ftp://127.0.0.1/", Err(FetchError::Redirected)),
        ("file:///etc/passwd", Err(FetchError::Redirected)),
    ] {
        let got = fetcher.fetch(&order(format!("http://127.0.0.1:{port}/f?to={to}"))).await;
        assert_eq!(got.map(drop), expected, "{to}");
    }
    let loops = heads.lock().unwrap().iter().filter(|head| head.starts_with("GET /loop ")).count();
    assert_eq!(loops, MOST_REDIRECTS);
}

#[tokio::test]
async fn nothing_private_is_connected_to() {
    let (port, heads) = serve(|_| GOOD.to_owned()).await;
    let guard = Guard { ports: vec![port], ..Guard::default() };
    let guarded = Fetcher::new(guard, Limits::default());
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:7f00:1]", "127.1", "0"] {
        let got = guarded.fetch(&order(format!("http://{host}:{port}/f"))).await;
        assert_eq!(got, Err(FetchError::Private), "{host}");
    }
    for (url, expected) in [
        (format!("http://127.0.0.1:{}/f", port ^ 1), FetchError::Address),
        ("ftp://example.com/f".to_owned(), FetchError::Address),
        ("http://u@example.com/f".to_owned(), FetchError::Address),
        ("nonsense".to_owned(), FetchError::Address),
    ] {
        assert_eq!(guarded.fetch(&order(url.clone())).await, Err(expected), "{url}");
    }
    assert_eq!(heads.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn certificates_are_checked_and_a_page_that_is_secure_tells_no_insecure_server() {
    let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let server = || {
        let secret = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![key.cert.der().clone()], secret).unwrap()))
    };
    let (plain, heads) = serve(|_| GOOD.to_owned()).await;
    let downgrade =
        format!("HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:{plain}/\r\n\r\n");
    let answer = move |head: &str| if head.contains("/down") { downgrade.clone() } else { GOOD.to_owned() };
    let (port, _) = serve_tls(answer, Some(server())).await;
    let url = format!("https://127.0.0.1:{port}/f");
    assert_eq!(
        fetcher(&[port]).fetch(&order(url.clone())).await,
        Err(FetchError::Unreachable),
        "nobody knows it"
    );
    let knowing = fetcher(&[port, plain]);
    let mut roots = RootCertStore::empty();
    roots.add(key.cert.der().clone()).unwrap();
    knowing.connections.trust(roots);
    assert_eq!(knowing.fetch(&order(url)).await.map(|got| got.data), Ok(b"abc".to_vec()));
    let down = knowing.fetch(&order(format!("https://127.0.0.1:{port}/down"))).await;
    assert_eq!(down, Err(FetchError::Redirected));
    let secure =
        OwnFetch { referer: "https://page.example/".into(), ..order(format!("http://127.0.0.1:{plain}/")) };
    knowing.fetch(&secure).await.unwrap();
    let heads = heads.lock().unwrap().clone();
    assert!(heads.len() == 1 && !heads[0].to_lowercase().contains("referer"), "{heads:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever a server says: three bytes, or an error.
    #[test]
    fn any_answer_gives_the_bytes_or_an_error(
        head in "(HTTP/1\\.1 (206|200|302|416) x\r\n)?(Content-Range: bytes [0-5]-[0-5]/(10|9|\\*)\r\n)?\
                 (Content-Length: [0-9]{1,20}\r\n)?(Location: [a-z:/.]{0,9}\r\n)?(Transfer-Encoding: chunked\r\n)?\r\n",
        body in "[0-9a-f\r\n]{0,40}",
        total: Option<u8>,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (port, _) = serve(move |_| format!("{head}{body}")).await;
            let limits = Limits { answer: Duration::from_millis(60), whole: Duration::from_millis(60) };
            let fetcher = Fetcher { limits, ..fetcher(&[port]) };
            let total = total.map(|total| u64::from(total % 3) + 9);
            let order = OwnFetch { total, ..order(format!("http://127.0.0.1:{port}/f")) };
            if let Ok(got) = fetcher.fetch(&order).await {
                prop_assert!(got.status == 416 || (got.status == 200 && got.data.len() == 3), "{:?}", got);
                prop_assert!(total.is_none() || got.total == total);
            }
            Ok(())
        })?;
    }

    #[test]
    fn any_text_is_a_content_range_or_none(text in "(bytes )?[0-9/* -]{0,60}") {
        if let Some((first, last, total)) = parse_content_range(&text) {
            prop_assert!(first <= last && total.is_none_or(|total| last < total));
        }
    }
}
