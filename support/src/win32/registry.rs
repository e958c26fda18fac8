//! Texts and numbers in the registry.

#![expect(unsafe_code, reason = "calls into Windows")]

use std::fmt;
use std::io;
use std::ptr::null;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::ERROR_FILE_NOT_FOUND;
use windows_sys::Win32::Foundation::ERROR_MORE_DATA;
use windows_sys::Win32::Foundation::ERROR_SUCCESS;
use windows_sys::Win32::System::Registry::HKEY;
use windows_sys::Win32::System::Registry::HKEY_CURRENT_USER;
use windows_sys::Win32::System::Registry::HKEY_LOCAL_MACHINE;
use windows_sys::Win32::System::Registry::KEY_QUERY_VALUE;
use windows_sys::Win32::System::Registry::KEY_SET_VALUE;
use windows_sys::Win32::System::Registry::REG_OPTION_NON_VOLATILE;
use windows_sys::Win32::System::Registry::REG_SZ;
use windows_sys::Win32::System::Registry::RRF_RT_REG_DWORD;
use windows_sys::Win32::System::Registry::RRF_RT_REG_SZ;
use windows_sys::Win32::System::Registry::RegCloseKey;
use windows_sys::Win32::System::Registry::RegCreateKeyExW;
use windows_sys::Win32::System::Registry::RegDeleteKeyExW;
use windows_sys::Win32::System::Registry::RegEnumValueW;
use windows_sys::Win32::System::Registry::RegGetValueW;
use windows_sys::Win32::System::Registry::RegOpenKeyExW;
use windows_sys::Win32::System::Registry::RegSetValueExW;

use super::wide;

/// Longest text that is read, in characters of UTF-16.
const MOST_TEXT: usize = 1 << 20;
/// Values of one key that are listed, and the longest name of one.
const MOST_VALUES: u32 = 4096;
const MOST_NAME: usize = 256;

/// Whose settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// Of the user who runs this process.
    User,
    /// Of everybody on this machine; to be written by administrators only.
    Machine,
}

impl Root {
    fn key(self) -> HKEY {
        match self {
            Self::User => HKEY_CURRENT_USER,
            Self::Machine => HKEY_LOCAL_MACHINE,
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "HKCU",
            Self::Machine => "HKLM",
        })
    }
}

/// A text; the key's default one if `value` is empty. `None` if it isn't there.
///
/// # Errors
/// If it can't be read, or is no text.
pub fn text(root: Root, key: &str, value: &str) -> io::Result<Option<String>> {
    let (key, value) = (wide(key), wide(value));
    let mut room = 256;
    while room <= MOST_TEXT {
        let mut text = vec![0_u16; room];
        let mut bytes = u32::try_from(room * 2).map_err(io::Error::other)?;
        // SAFETY: both names end with a zero; at most `bytes` bytes are written, which is the buffer's size.
        let error = unsafe {
            let (key, value) = (key.as_ptr(), value.as_ptr());
            RegGetValueW(
                root.key(),
                key,
                value,
                RRF_RT_REG_SZ,
                null_mut(),
                text.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        match error {
            ERROR_SUCCESS => {
                let end = text.iter().position(|unit| *unit == 0).unwrap_or(text.len());
                return Ok(Some(String::from_utf16_lossy(text.get(..end).unwrap_or_default())));
            }
            ERROR_FILE_NOT_FOUND => return Ok(None),
            ERROR_MORE_DATA => room *= 4,
            error => return Err(from(error)),
        }
    }
    Err(io::Error::from(io::ErrorKind::FileTooLarge))
}

/// A number; `None` if it isn't there.
///
/// # Errors
/// If it can't be read, or is no number.
pub fn number(root: Root, key: &str, value: &str) -> io::Result<Option<u32>> {
    let (key, value) = (wide(key), wide(value));
    let (mut number, mut bytes) = (0_u32, 4_u32);
    // SAFETY: both names end with a zero; at most four bytes are written, which is the number's size.
    let error = unsafe {
        let target = (&raw mut number).cast();
        RegGetValueW(
            root.key(),
            key.as_ptr(),
            value.as_ptr(),
            RRF_RT_REG_DWORD,
            null_mut(),
            target,
            &raw mut bytes,
        )
    };
    match error {
        ERROR_SUCCESS => Ok(Some(number)),
        ERROR_FILE_NOT_FOUND => Ok(None),
        error => Err(from(error)),
    }
}

/// The texts of a key, whatever their names: lists of policies are kept so. Empty if there is no such key.
///
/// # Errors
/// If the key can't be read.
pub fn texts(root: Root, key: &str) -> io::Result<Vec<String>> {
    let Some(opened) = open(root, key)? else { return Ok(Vec::new()) };
    let mut texts = Vec::new();
    for index in 0..MOST_VALUES {
        let mut name = [0_u16; MOST_NAME];
        let mut length = u32::try_from(MOST_NAME).unwrap_or(0);
        // SAFETY: at most so many characters are written, the buffer's size; the rest is not asked for.
        let error = unsafe {
            let name = name.as_mut_ptr();
            RegEnumValueW(opened.0, index, name, &raw mut length, null(), null_mut(), null_mut(), null_mut())
        };
        match error {
            ERROR_SUCCESS => {
                let end = usize::try_from(length).unwrap_or(0);
                let value = String::from_utf16_lossy(name.get(..end).unwrap_or_default());
                // A value of another type is none of the list.
                texts.extend(text(root, key, &value).ok().flatten());
            }
            // A name that nobody would give to an entry of a list.
            ERROR_MORE_DATA => {}
            // No more values.
            _ => break,
        }
    }
    Ok(texts)
}

/// Whether there is such a key that this user may read.
#[must_use]
pub fn exists(root: Root, key: &str) -> bool {
    open(root, key).is_ok_and(|key| key.is_some())
}

/// Writes a text, and makes its key; the key's default text if `value` is empty.
///
/// # Errors
/// What Windows says, for one that the user may not write there.
pub fn set_text(root: Root, key: &str, value: &str, text: &str) -> io::Result<()> {
    let (key, value, text) = (wide(key), wide(value), wide(text));
    let bytes = u32::try_from(text.len() * 2).map_err(io::Error::other)?;
    let mut opened = null_mut();
    // SAFETY: the name ends with a zero; the handle is written where it says; nothing else is asked for.
    let error = unsafe {
        RegCreateKeyExW(
            root.key(),
            key.as_ptr(),
            0,
            null(),
            REG_OPTION_NON_VOLATILE,
            KEY_SET_VALUE,
            null(),
            &raw mut opened,
            null_mut(),
        )
    };
    if error != ERROR_SUCCESS {
        return Err(from(error));
    }
    let opened = Key(opened);
    // SAFETY: the name ends with a zero, and the text has that many bytes.
    let error = unsafe { RegSetValueExW(opened.0, value.as_ptr(), 0, REG_SZ, text.as_ptr().cast(), bytes) };
    if error == ERROR_SUCCESS { Ok(()) } else { Err(from(error)) }
}

/// Removes a key that has none below it; false if it wasn't there.
///
/// # Errors
/// What Windows says.
pub fn remove(root: Root, key: &str) -> io::Result<bool> {
    let key = wide(key);
    // SAFETY: the name ends with a zero.
    match unsafe { RegDeleteKeyExW(root.key(), key.as_ptr(), 0, 0) } {
        ERROR_SUCCESS => Ok(true),
        ERROR_FILE_NOT_FOUND => Ok(false),
        error => Err(from(error)),
    }
}

fn open(root: Root, key: &str) -> io::Result<Option<Key>> {
    let name = wide(key);
    let mut opened = null_mut();
    // SAFETY: the name ends with a zero; the handle is written where it says.
    match unsafe { RegOpenKeyExW(root.key(), name.as_ptr(), 0, KEY_QUERY_VALUE, &raw mut opened) } {
        ERROR_SUCCESS => Ok(Some(Key(opened))),
        ERROR_FILE_NOT_FOUND => Ok(None),
        error => Err(from(error)),
    }
}

/// An open key.
struct Key(HKEY);

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the key was opened by this module and is used by nobody else.
        unsafe { RegCloseKey(self.0) };
    }
}

fn from(error: u32) -> io::Error {
    io::Error::from_raw_os_error(error.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_listed_and_removed() {
        let key = format!("Software\\Offstage\\Test{}", std::process::id());
        assert_eq!(text(Root::User, &key, "").unwrap(), None);
        assert_eq!(texts(Root::User, &key).unwrap(), Vec::<String>::new());
        let long = "ä".repeat(5000);
        set_text(Root::User, &key, "", "one").unwrap();
        set_text(Root::User, &key, "other", &long).unwrap();
        assert_eq!(text(Root::User, &key, "").unwrap().as_deref(), Some("one"));
        assert_eq!(text(Root::User, &key, "other").unwrap(), Some(long.clone()));
        assert!(number(Root::User, &key, "other").is_err(), "a text is no number");
        assert_eq!(number(Root::User, &key, "absent").unwrap(), None);
        let mut all = texts(Root::User, &key).unwrap();
        all.sort();
        assert_eq!(all, ["one".to_owned(), long]);
        assert!(remove(Root::User, &key).unwrap());
        assert!(!remove(Root::User, &key).unwrap());
    }
}
