//! A person's device with `xfreerdp`, and the client at the plug-in's socket, which is this process.

use offstage_ironrdp_test::desktop::Viewer;
use offstage_ironrdp_test::drdynvc::Event;
use offstage_ironrdp_test::rdp_server::{LIMIT, RdpServer, Session};
use offstage_tests::xvfb::Screen;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// A screen, a viewer that is connected, and the client's socket.
pub(crate) struct Desk {
    // Dropped in this order: the viewer before the screen that it is on.
    pub(crate) session: Session,
    pub(crate) viewer: Option<Viewer>,
    pub(crate) listener: UnixListener,
    server: RdpServer,
    screen: Screen,
    pub(crate) folder: TempDir,
}

impl Desk {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("offstage-ironrdp-").tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("client.sock")).unwrap();
        let server = RdpServer::listen().await.unwrap();
        let screen = Screen::start(800, 600).unwrap();
        let (viewer, session) = connected(&server, &screen, &folder).await;
        Self { session, viewer: Some(viewer), listener, server, screen, folder }
    }

    pub(crate) async fn connect(&mut self) {
        let (viewer, session) = connected(&self.server, &self.screen, &self.folder).await;
        self.viewer = Some(viewer);
        self.session = session;
    }

    /// The plug-in's next connection.
    pub(crate) async fn client(&self) -> UnixStream {
        let accepted = timeout(LIMIT, self.listener.accept()).await;
        accepted.expect("the plug-in does not connect to the client").unwrap().0
    }

    /// The same viewer still carries a channel there and back. What was said of `old` before is over.
    pub(crate) async fn works(&mut self, old: u32) {
        self.session.open().await.unwrap();
        let mut event = self.session.next().await.unwrap();
        while event == Event::Closed(old) {
            event = self.session.next().await.unwrap();
        }
        let Event::Opened(channel) = event else {
            panic!("{event:?} in place of a channel: {}", self.said())
        };
        let mut client = self.client().await;
        self.session.send(channel, b"there".to_vec()).await.unwrap();
        assert_eq!(take(&mut client, 5).await, b"there");
        client.write_all(b"back").await.unwrap();
        self.session.expect(&Event::Data(channel, b"back".to_vec())).await.unwrap();
        self.session.close(channel).await.unwrap();
        assert_eq!(until_end(&mut client).await, b"");
        // The answer to the end.
        self.session.expect(&Event::Closed(channel)).await.unwrap();
        assert!(self.viewer.as_mut().is_some_and(Viewer::is_running), "xfreerdp has ended: {}", self.said());
    }

    fn said(&self) -> String {
        self.viewer.as_ref().map(Viewer::said).unwrap_or_default()
    }
}

async fn connected(server: &RdpServer, screen: &Screen, folder: &TempDir) -> (Viewer, Session) {
    let socket = folder.path().join("client.sock");
    let viewer = Viewer::start(screen, server.port().unwrap(), &socket, folder.path()).unwrap();
    match server.accept().await {
        Ok(session) => (viewer, session),
        Err(error) => panic!("{error:#}: {}", viewer.said()),
    }
}

/// The next bytes that the client gets.
pub(crate) async fn take(client: &mut UnixStream, length: usize) -> Vec<u8> {
    let mut got = vec![0; length];
    let read = timeout(LIMIT, client.read_exact(&mut got)).await;
    read.expect("the plug-in brings no bytes").unwrap();
    got
}

/// All that still comes, up to the end.
pub(crate) async fn until_end(client: &mut UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    match timeout(LIMIT, client.read_to_end(&mut all)).await {
        Ok(read) => read.map(|_| all).unwrap(),
        Err(_) => panic!("the plug-in keeps the client's socket open"),
    }
}
