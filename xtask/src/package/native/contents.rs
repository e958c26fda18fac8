//! What the packages hold, file by file.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::debian::Making;
use super::notices::{self, notices};
use super::tree::Tree;
use super::{Choices, Package};
use crate::run::{check, output};
use crate::workspace::Workspace;

const BRIDGE: &str = "offstage-bridge";
const CLIENT: &str = "offstage-client";

/// Why files of the bridge are where Debian's own packages have none.
const FOREIGN_FOLDERS: (&str, &str) = (
    "dir-or-file-in-etc-opt",
    "Chrome and Edge are add-ons in /opt and look for native hosts below /etc/opt only.",
);

const BRIDGE_README: &str = "\
offstage-bridge: the end of Offstage in the remote session
===========================================================

Browsers start the bridge by themselves: the package has a native host manifest for Chromium, Chrome, Edge and Brave below /etc (a
configuration file each). `offstage-bridge doctor` says what is missing.

Policies
--------
What is redirected is a setting of the browser extension. An administrator sets it, and has the extension installed, by a policy file:
copy examples/offstage.json, change ids, addresses and sites, and put it into the folder of managed policies of each browser:

  Chromium   /etc/chromium/policies/managed/
  Chrome     /etc/opt/chrome/policies/managed/
  Edge       /etc/opt/edge/policies/managed/

The package neither makes nor removes anything there: a policy is the administrator's. If the extension is signed with a key of your own,
its id has to be in the manifests: `sudo offstage-bridge install --system --extension-id ID`, or build the package with that key.
";

const CLIENT_README: &str = "\
offstage-client: the end of Offstage on the device
==================================================

The client starts with every graphical session on this machine (/etc/xdg/autostart/offstage-client.desktop, a configuration file). Who
doesn't want it turns it off in the desktop's settings for programs that start by themselves, or with

  mkdir -p ~/.config/autostart
  printf '[Desktop Entry]\\nType=Application\\nName=Offstage\\nHidden=true\\n' >~/.config/autostart/offstage-client.desktop

It listens on a socket of the person who runs it and, for its own browser engine, on a port that only this machine reaches. It fetches
nothing by itself unless the device's settings or OFFSTAGE_FETCH=device say so.

The plug-in by which FreeRDP's clients bring sessions of xrdp here is in FreeRDP's folders already: xfreerdp /v:HOST /dvc:offstage

What this device does for sessions is a matter of /etc/offstage/client.json (for everybody) and ~/.config/offstage/client.json (for one person);
examples/client.json is one, and client.schema.json beside it says what may be in it. Neither file is made by the package.
`offstage-client doctor` says what is missing. Install it on the device that people sit at, not in the sessions they connect to.
";

/// The session's end.
pub(super) fn bridge(workspace: &Workspace, choices: &Choices) -> Result<Package> {
    let mut tree = Tree::default();
    program(workspace, BRIDGE, &mut tree)?;
    tree.add_folder(&manifests(workspace, choices)?.path().join("etc"), "etc")?;
    let examples = "usr/share/doc/offstage-bridge/examples";
    tree.add(format!("{examples}/offstage.json"), example_policy(workspace, choices)?.into_bytes());
    tree.add("usr/share/doc/offstage-bridge/README", BRIDGE_README.into());
    Ok(Package {
        name: BRIDGE,
        section: "video",
        summary: "plays web video of a remote session on the device: session's end",
        description: "Offstage plays the video of web pages on the device that a person sits at\n\
                      instead of in the remote desktop. This package is for the machine that the\n\
                      session runs on: browsers start the program when the Offstage extension asks\n\
                      for it.\n\nIt has the native host manifests for Chromium, Chrome, Edge and Brave.",
        depends: &[],
        overrides: &[FOREIGN_FOLDERS],
        tree,
    })
}

/// The device's end.
pub(super) fn client(workspace: &Workspace) -> Result<Package> {
    let mut tree = Tree::default();
    program(workspace, CLIENT, &mut tree)?;
    tree.add_folder(&workspace.stage(), "usr/share/offstage-client/stage")?;
    for size in [16, 32, 48, 128] {
        let icon = workspace.path(&format!("www/icons/ready-{size}.png"));
        let bytes = std::fs::read(&icon).with_context(|| format!("cannot read {}", icon.display()))?;
        tree.add(format!("usr/share/icons/hicolor/{size}x{size}/apps/offstage-client.png"), bytes);
    }
    let plugin = built(workspace, "liboffstage_rdp_plugin.so");
    let plugin = std::fs::read(&plugin)
        .with_context(|| format!("{} is not there: leave --no-build away", plugin.display()))?;
    let triplet = output(Command::new("dpkg-architecture").args(["-q", "DEB_HOST_MULTIARCH"]))?;
    for version in [2, 3] {
        // Nobody but FreeRDP looks there, and either version may be installed later.
        tree.add(
            format!("usr/lib/{}/freerdp{version}/liboffstage-client.so", triplet.trim()),
            plugin.clone(),
        );
    }
    tree.add("usr/share/applications/offstage-client.desktop", desktop_entry().into_bytes());
    // With the desktop, not as a unit of the user's service manager: the client needs the desktop's display and dies with it, and
    // a person can turn such an entry off.
    tree.add("etc/xdg/autostart/offstage-client.desktop", desktop_entry().into_bytes());
    tree.add("usr/share/doc/offstage-client/README", CLIENT_README.into());
    for name in ["client.json", "client.schema.json"] {
        let text = workspace.read(&format!("manifest/policy/device/{name}"))?;
        tree.add(format!("usr/share/doc/offstage-client/examples/{name}"), text.into_bytes());
    }
    Ok(Package {
        name: CLIENT,
        section: "video",
        summary: "plays web video of a remote session on the device: device's end",
        description: "Offstage plays the video of web pages on the device that a person sits at\n\
                      instead of in the remote desktop. This package is for the device: it plays\n\
                      the video in a browser engine of its own, exactly where the session shows\n\
                      it. It starts with the desktop.",
        // In the order in which the client looks for them.
        depends: &[
            "chromium | google-chrome-stable | microsoft-edge-stable | brave-browser | vivaldi-stable",
        ],
        overrides: &[],
        tree,
    })
}

/// Changes, licences and what lintian has to know; the same for every package.
pub(super) fn documentation(workspace: &Workspace, package: &mut Package, making: &Making<'_>) -> Result<()> {
    let name = package.name;
    let doc = format!("usr/share/doc/{name}");
    let tree = &mut package.tree;
    tree.add(format!("{doc}/copyright"), copyright(&workspace.read("LICENSE-MIT")?).into_bytes());
    let notices = notices(workspace, name, &notices::host(workspace)?)?;
    tree.add_packed(&format!("{doc}/third-party-notices"), notices.as_bytes())?;
    tree.add_packed(&format!("{doc}/NEWS.md"), workspace.read("CHANGELOG.md")?.as_bytes())?;
    let mut date = Command::new("date");
    let date =
        output(date.env("LC_ALL", "C").args(["--utc", "--rfc-email", &format!("--date=@{}", making.date)]))?;
    let changes = format!(
        "{name} ({version}) stable; urgency=medium\n\n  * What has changed is told in NEWS.md.gz beside this file.\n\n -- {who}  {date}\n",
        version = making.version,
        who = making.maintainer,
        date = date.trim(),
    );
    tree.add_packed(&format!("{doc}/changelog"), changes.as_bytes())?;
    if !package.overrides.is_empty() {
        let mut text = String::new();
        for (tag, reason) in package.overrides {
            // Writing to a string does not fail.
            writeln!(text, "# {reason}\n{name}: {tag} *").ok();
        }
        package.tree.add(format!("usr/share/lintian/overrides/{name}"), text.into_bytes());
    }
    Ok(())
}

/// What stands beside the files in an archive.
pub(super) fn by_hand(folder: &str, tree: &Tree) -> String {
    let programs: Vec<&str> = tree.names().filter_map(|name| name.strip_prefix("usr/bin/")).collect();
    format!(
        "The files of Debian's package of {programs} as they lie below /. Install them as root with\n\n  {}\n\nand take them away with\n\n  {}\n\n\
         (which leaves folders). usr/share/doc/ says the rest.\n",
        unpack(&format!("{folder}.tar.gz")),
        remove(&format!("{folder}.tar.gz")),
        programs = programs.join(", "),
    )
}

/// The shell's words that install an archive.
pub(in crate::package) fn unpack(archive: &str) -> String {
    format!(
        "tar -xzf {archive} -C / --strip-components=1 --no-overwrite-dir --keep-directory-symlink --wildcards '*/etc' '*/usr'"
    )
}

/// The shell's words that remove what an archive has installed.
pub(in crate::package) fn remove(archive: &str) -> String {
    format!("tar -tzf {archive} | sed -nE 's:^[^/]+(/(etc|usr)/.*[^/])$:\\1:p' | xargs rm -f")
}

/// The program and its manual pages, which it writes itself.
fn program(workspace: &Workspace, name: &str, tree: &mut Tree) -> Result<()> {
    let path = built(workspace, name);
    let bytes = std::fs::read(&path)
        .with_context(|| format!("{} is not there: leave --no-build away", path.display()))?;
    tree.add_program(format!("usr/bin/{name}"), bytes);
    let pages = tempfile::tempdir()?;
    check(Command::new(&path).arg("man").arg(pages.path()))?;
    for page in std::fs::read_dir(pages.path())? {
        let page = page?;
        let name = page.file_name().into_string().ok().context("a page's name is not UTF-8")?;
        let text = with_tables_kept(&std::fs::read_to_string(page.path())?);
        tree.add_packed(&format!("usr/share/man/man1/{name}"), text.as_bytes())?;
    }
    Ok(())
}

/// A page whose last words of help (clap_mangen calls them "extra") keep their lines.
fn with_tables_kept(page: &str) -> String {
    let Some((before, rest)) = page.split_once(".SH EXTRA\n") else { return page.to_owned() };
    let (extra, after) = rest.find("\n.SH ").map_or((rest, ""), |end| rest.split_at(end + 1));
    format!("{before}.SH NOTES\n.nf\n{extra}.fi\n{after}")
}

fn built(workspace: &Workspace, name: &str) -> std::path::PathBuf {
    workspace.programs(true).join(name)
}

/// Everything that the bridge itself installs for all users of a machine, below a folder that stands for `/`.
fn manifests(workspace: &Workspace, choices: &Choices) -> Result<tempfile::TempDir> {
    let root = tempfile::tempdir()?;
    let program = Path::new("/usr/bin").join(BRIDGE);
    let inside = root.path().join("usr/bin");
    std::fs::create_dir_all(&inside)?;
    std::fs::copy(built(workspace, BRIDGE), inside.join(BRIDGE))?;
    let mut install = Command::new(built(workspace, BRIDGE));
    install.args(["install", "--system", "--root"]).arg(root.path()).arg("--program").arg(program);
    if let Some(id) = &choices.extension_id {
        install.args(["--extension-id", id]);
    }
    check(install.stdout(Stdio::null()))?;
    Ok(root)
}

fn example_policy(workspace: &Workspace, choices: &Choices) -> Result<String> {
    let mut text = workspace.read("manifest/policy/linux/offstage.json")?;
    if let Some(id) = &choices.extension_id {
        text = text.replace(&workspace.extension_id()?, id);
    }
    if let Some(url) = &choices.update_url {
        text = text.replace(super::super::EXAMPLE_URL, url.trim_end_matches('/'));
    }
    Ok(text)
}

fn desktop_entry() -> String {
    let comments = [
        ("", "Plays the video of your remote sessions on this device"),
        ("[de]", "Spielt die Videos Ihrer Remotesitzungen auf diesem Gerät ab"),
        ("[es]", "Reproduce en este dispositivo los vídeos de sus sesiones remotas"),
        ("[fr]", "Lit sur cet appareil les vidéos de vos sessions distantes"),
        ("[ja]", "リモート セッションの動画をこのデバイスで再生します"),
    ];
    let comments: String = comments.iter().map(|(tag, text)| format!("Comment{tag}={text}\n")).collect();
    format!(
        "[Desktop Entry]\nType=Application\nName=Offstage\n{comments}Exec=offstage-client run\nIcon=offstage-client\nTerminal=false\n\
         StartupNotify=false\nCategories=Network;RemoteAccess;\nKeywords=remote;desktop;video;\n"
    )
}

/// In Debian's form (DEP 5).
fn copyright(mit: &str) -> String {
    let indented: String = mit
        .lines()
        .skip_while(|line| !line.starts_with("Permission"))
        .map(|line| format!(" {}\n", if line.is_empty() { "." } else { line }))
        .collect();
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: Offstage\n\
         Comment: The libraries that the program is built of have licences of their own: third-party-notices.gz beside this file.\n\n\
         Files: *\nCopyright: 2026 The Offstage authors\nLicense: Apache-2.0 or Expat\n\n\
         License: Apache-2.0\n On Debian systems, the licence's text is in /usr/share/common-licenses/Apache-2.0.\n\n\
         License: Expat\n{indented}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_desktop_takes_the_entry() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("offstage-client.desktop");
        std::fs::write(&file, desktop_entry()).unwrap();
        let output = Command::new("desktop-file-validate").arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    #[test]
    fn tables_of_a_manual_page_keep_their_lines() {
        let page = ".SH NAME\na\n.SH EXTRA\n A  1\n B  2\n.SH VERSION\nv1\n";
        let kept = ".SH NAME\na\n.SH NOTES\n.nf\n A  1\n B  2\n.fi\n.SH VERSION\nv1\n";
        assert_eq!(with_tables_kept(page), kept);
        assert_eq!(with_tables_kept(".SH NAME\na\n"), ".SH NAME\na\n");
    }

    #[test]
    fn the_copyright_file_has_the_whole_licence() {
        let text = copyright("MIT License\n\nCopyright (c) A\n\nPermission is granted.\n\nAS IS.\n");
        assert!(text.ends_with("License: Expat\n Permission is granted.\n .\n AS IS.\n"), "{text}");
    }

    #[test]
    fn an_example_has_the_administrators_id_and_address() {
        let workspace = Workspace::find().unwrap();
        let plain = example_policy(&workspace, &Choices::default()).unwrap();
        assert_eq!(plain, workspace.read("manifest/policy/linux/offstage.json").unwrap());
        let id = "a".repeat(32);
        let choices = Choices {
            extension_id: Some(id.clone()),
            update_url: Some("https://u.example.org/x/".to_owned()),
            ..Choices::default()
        };
        let policy: serde_json::Value =
            serde_json::from_str(&example_policy(&workspace, &choices).unwrap()).unwrap();
        let installed = &policy["ExtensionSettings"][&id];
        assert_eq!(installed["update_url"], "https://u.example.org/x/updates.xml");
        assert!(policy["3rdparty"]["extensions"][&id].is_object());
    }
}
