//! A product as wixl takes it: the source, and what is put into the database afterwards.

use std::fmt::Write as _;

use anyhow::Result;

use super::guid;

/// Everything of one package.
#[derive(Debug)]
pub(super) struct Product {
    /// As its files are called.
    pub(super) name: &'static str,
    /// As the list of installed programs shows it.
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// The folder below `Program Files\Offstage`.
    pub(super) folder: &'static str,
    pub(super) version: String,
    pub(super) manufacturer: String,
    pub(super) properties: Vec<Property>,
    /// Whether it may be installed, and what is told if not.
    pub(super) conditions: Vec<(&'static str, &'static str)>,
    pub(super) features: Vec<Feature>,
}

/// The property of what Windows calls itself, which those before Windows 10 leave out. The installer's own `VersionNT` is that of Windows 8.1
/// from there on.
const WINDOWS: &str = "WINDOWSMAJOR";

/// A property that whoever installs may give, and that the next version's installation remembers.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) name: &'static str,
    /// Where it is kept below the product's key.
    pub(super) kept_as: &'static str,
}

/// What may be left out.
#[derive(Debug)]
pub(super) struct Feature {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) required: bool,
    pub(super) components: Vec<Component>,
}

/// `msidbFeatureAttributesUIDisallowAbsent`.
const REQUIRED: u32 = 16;

/// What is installed and removed as one.
#[derive(Debug, Default)]
pub(super) struct Component {
    pub(super) name: &'static str,
    /// A condition on properties.
    pub(super) condition: Option<&'static str>,
    /// A folder below the product's, or empty.
    pub(super) folder: &'static str,
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) values: Vec<Value>,
}

/// A text in the registry, for the whole machine.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) key: String,
    /// Empty for the key's default text.
    pub(super) name: &'static str,
    pub(super) text: String,
}

impl Product {
    /// The bytes of all files, in the order of their numbers.
    pub(super) fn files(&self) -> impl Iterator<Item = &[u8]> {
        let components = self.features.iter().flat_map(|feature| &feature.components);
        components.flat_map(|component| component.files.iter().map(|(_, bytes)| bytes.as_slice()))
    }

    /// Where properties are kept.
    fn key(&self) -> String {
        format!(r"Software\Offstage\{}", self.folder)
    }

    /// The source; the files are beside it, each under its number's name.
    pub(super) fn to_xml(&self) -> Result<String> {
        let mut number = 0;
        let mut components = String::new();
        let mut features = String::new();
        // The folder around goes with the last product in it.
        let around = bare(&guid(&format!("component {} Folder", self.name)));
        for (index, feature) in self.features.iter().enumerate() {
            let mut references =
                if index == 0 { "<ComponentRef Id=\"Folder\"/>".to_owned() } else { String::new() };
            for component in &feature.components {
                self.component(component, &mut number, &mut components)?;
                write!(references, "<ComponentRef Id=\"{}\"/>", component.name)?;
            }
            let (name, title) = (feature.name, escaped(feature.title));
            writeln!(
                features,
                "<Feature Id=\"{name}\" Title=\"{title}\" Level=\"1\">{references}</Feature>"
            )?;
        }
        let mut properties = format!(
            "<Property Id=\"{WINDOWS}\"><RegistrySearch Id=\"WindowsMajor\" Root=\"HKLM\" Key=\"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\" \
             Name=\"CurrentMajorVersionNumber\" Type=\"raw\" Win64=\"yes\"/></Property>\n"
        );
        let mut actions = String::new();
        let mut order = String::new();
        for Property { name, kept_as } in &self.properties {
            let key = escaped(&self.key());
            writeln!(
                properties,
                "<Property Id=\"KEPT{name}\"><RegistrySearch Id=\"Kept{name}\" Root=\"HKLM\" Key=\"{key}\" Name=\"{kept_as}\" \
                 Type=\"raw\" Win64=\"yes\"/></Property>"
            )?;
            writeln!(
                actions,
                "<CustomAction Id=\"Keep{name}\" Property=\"{name}\" Value=\"[KEPT{name}]\"/>"
            )?;
            writeln!(
                order,
                "<Custom Action=\"Keep{name}\" After=\"AppSearch\">NOT {name} AND KEPT{name}</Custom>"
            )?;
        }
        let mut conditions = String::new();
        for (condition, message) in &self.conditions {
            let (condition, message) = (escaped(condition), escaped(message));
            writeln!(conditions, "<Condition Message=\"{message}\">{condition}</Condition>")?;
        }
        let Self { name, version, folder, .. } = self;
        let product = bare(&guid(&format!("product {name} {version}")));
        let upgrade = bare(&guid(&format!("upgrade {name}")));
        let [title, description, manufacturer] =
            [self.title, self.description, self.manufacturer.as_str()].map(escaped);
        Ok(format!(
            r#"<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
<Product Id="{product}" UpgradeCode="{upgrade}" Name="{title}" Version="{version}" Language="1033" Manufacturer="{manufacturer}">
<Package InstallerVersion="500" Compressed="yes" InstallScope="perMachine" Description="{title}" Comments="{description}"/>
<MajorUpgrade DowngradeErrorMessage="A newer version of [ProductName] is installed."/>
<MediaTemplate EmbedCab="yes"/>
<Property Id="ARPNOMODIFY" Value="1"/>
<Property Id="ARPCOMMENTS" Value="{description}"/>
<Property Id="REINSTALLMODE" Value="amus"/>
{properties}{actions}<InstallExecuteSequence>
{order}</InstallExecuteSequence>
{conditions}<Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="ProgramFiles64Folder">
<Directory Id="OFFSTAGEDIR" Name="Offstage">
<Component Id="Folder" Guid="{around}" Win64="yes"><CreateFolder/></Component>
<Directory Id="INSTALLDIR" Name="{folder}">
{components}</Directory></Directory>
</Directory></Directory>
{features}</Product>
</Wix>
"#
        ))
    }

    fn component(&self, component: &Component, number: &mut usize, out: &mut String) -> Result<()> {
        let Component { name, folder, .. } = component;
        let id = bare(&guid(&format!("component {} {name}", self.name)));
        if !folder.is_empty() {
            write!(out, "<Directory Id=\"{name}Folder\" Name=\"{folder}\">")?;
        }
        writeln!(out, "<Component Id=\"{name}\" Guid=\"{id}\" Win64=\"yes\">")?;
        let mut key_path = " KeyPath=\"yes\"";
        for (file, _) in &component.files {
            let (source, file) = (stored(*number), escaped(file));
            writeln!(out, "<File Id=\"file{number}\" Name=\"{file}\" Source=\"{source}\"{key_path}/>")?;
            *number += 1;
            key_path = "";
        }
        for Value { key, name, text } in &component.values {
            let name = if name.is_empty() { String::new() } else { format!(" Name=\"{name}\"") };
            let (key, text) = (escaped(key), escaped(text));
            writeln!(
                out,
                "<RegistryValue Root=\"HKLM\" Key=\"{key}\"{name} Type=\"string\" Value=\"{text}\"{key_path}/>"
            )?;
            key_path = "";
        }
        out.push_str("</Component>");
        out.push_str(if folder.is_empty() { "\n" } else { "</Directory>\n" });
        Ok(())
    }

    /// What wixl has no words for: conditions of components, features that can't be left out, properties that may be given to an installation that is elevated, and that
    /// the old version goes before the new one comes.
    pub(super) fn queries(&self) -> Vec<String> {
        let components = self.features.iter().flat_map(|feature| &feature.components);
        let mut queries: Vec<String> = components
            .filter_map(|component| {
                let (name, condition) = (component.name, component.condition?);
                Some(format!("UPDATE `Component` SET `Condition`='{condition}' WHERE `Component`='{name}'"))
            })
            .collect();
        let required = self.features.iter().filter(|feature| feature.required);
        queries.extend(required.map(|feature| {
            format!("UPDATE `Feature` SET `Attributes`={REQUIRED} WHERE `Feature`='{}'", feature.name)
        }));
        // With a window, the searches run in the person's process only, and what they have found has to be handed over as well.
        let mut secure =
            ["WIX_DOWNGRADE_DETECTED", "WIX_UPGRADE_DETECTED", WINDOWS].map(str::to_owned).to_vec();
        for Property { name, .. } in &self.properties {
            secure.extend([(*name).to_owned(), format!("KEPT{name}")]);
        }
        queries.push(format!(
            "UPDATE `Property` SET `Value`='{}' WHERE `Property`='SecureCustomProperties'",
            secure.join(";")
        ));
        queries.push(
            "UPDATE `InstallExecuteSequence` SET `Sequence`=1501 WHERE `Action`='RemoveExistingProducts'"
                .to_owned(),
        );
        queries
    }
}

/// What a file is called until it is packed.
pub(super) fn stored(number: usize) -> String {
    format!("file{number}")
}

fn bare(guid: &str) -> String {
    guid.trim_matches(['{', '}']).to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
