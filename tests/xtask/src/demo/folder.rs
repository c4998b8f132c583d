//! What a demo keeps: the database, its keys and tokens, the configuration, the log.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use stockade_db::ContextKey;

use crate::install;
use crate::places::Places;

/// A folder that one demo at a time uses.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Removed at the end.
    passing: bool,
    _lock: File,
}

/// What nobody but the demo's user may read.
#[derive(Debug)]
pub(super) struct Secrets {
    /// Signs callers' claims.
    pub(super) context_key: ContextKey,
    /// Where the key is.
    pub(super) context_key_file: PathBuf,
    /// The password of the server's login, where a server asks for one.
    pub(super) login_password: String,
    /// Where the tokens are.
    pub(super) tokens_file: PathBuf,
    tokens: BTreeMap<String, String>,
}

impl Folder {
    /// The folder of `cargo demo`, which the next one finds again.
    ///
    /// # Errors
    /// Where another demo has it.
    pub(super) fn kept(places: &Places) -> Result<Self> {
        Self::open(places.data.join("demo"), false)
    }

    /// An empty folder for one run.
    ///
    /// # Errors
    /// Where another check has it.
    pub(super) fn passing(places: &Places) -> Result<Self> {
        let folder = Self::open(places.data.join("check"), true)?;
        folder.clear()?;
        Ok(folder)
    }

    fn open(path: PathBuf, passing: bool) -> Result<Self> {
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        // PostgreSQL may run as another user, who must get through to its own folder below.
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        let lock = install::try_lock(&path.with_extension("lock"))?
            .with_context(|| format!("another demo is using {}: end it with Ctrl-C first", path.display()))?;
        Ok(Self { path, passing, _lock: lock })
    }

    /// A path in the folder.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes everything in it.
    pub(super) fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("removing {}", path.display()))?;
        }
        Ok(())
    }

    /// The secrets of earlier runs, or new ones.
    pub(super) fn secrets(&self) -> Result<Secrets> {
        let context_key_file = self.join("context.key");
        let said = |error: stockade_db::DbError| anyhow::anyhow!("{}", error.for_log());
        if !context_key_file.exists() {
            ContextKey::generate().write_file(&context_key_file).map_err(said)?;
        }
        let context_key = ContextKey::read_file(&context_key_file).map_err(said)?;
        let tokens_file = self.join("tokens.json");
        let mut kept: BTreeMap<String, String> = match fs::read(&tokens_file) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} is damaged: remove it", tokens_file.display()))?,
            Err(_) => BTreeMap::new(),
        };
        let mut take = |name: &str| match kept.remove(name) {
            Some(secret) => Ok(secret),
            None => new_secret(),
        };
        let login_password = take(LOGIN)?;
        let tokens = zava_retail::demo_callers()
            .iter()
            .map(|caller| Ok((caller.key.to_owned(), take(caller.key)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let mut all = tokens.clone();
        all.insert(LOGIN.to_owned(), login_password.clone());
        write_private(&tokens_file, &serde_json::to_vec_pretty(&all)?)?;
        Ok(Secrets { context_key, context_key_file, login_password, tokens_file, tokens })
    }

    /// The end of a run that went well.
    pub(super) fn leave(self) -> Result<()> {
        if self.passing {
            fs::remove_dir_all(&self.path).with_context(|| format!("removing {}", self.path.display()))?;
        }
        Ok(())
    }
}

/// The entry of `tokens.json` that is no caller's token: the database login's password.
const LOGIN: &str = "(database login)";

impl Secrets {
    /// The bearer token of a caller.
    pub(super) fn token(&self, caller: &str) -> Result<&str> {
        self.tokens.get(caller).map(String::as_str).with_context(|| format!("the demo has no caller {caller}"))
    }
}

/// 256 bits from the system's generator, in hex.
fn new_secret() -> Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).context("reading /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file that only its owner may read, whole or not at all.
pub(super) fn write_private(path: &Path, contents: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(contents)?;
    fs::rename(&part, path).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_private_and_stay() {
        let root = tempfile::tempdir().unwrap();
        let places = Places { cache: root.path().join("cache"), data: root.path().join("data") };
        let folder = Folder::kept(&places).unwrap();
        let first = folder.secrets().unwrap();
        for file in [&first.tokens_file, &first.context_key_file] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let second = folder.secrets().unwrap();
        assert_eq!(first.token("head-office").unwrap(), second.token("head-office").unwrap());
        assert_eq!(first.login_password, second.login_password);
        assert_ne!(first.token("head-office").unwrap(), first.token("seattle-store").unwrap());
        folder.clear().unwrap();
        assert_ne!(folder.secrets().unwrap().login_password, first.login_password);
    }

    #[test]
    fn a_passing_folder_goes() {
        let root = tempfile::tempdir().unwrap();
        let places = Places { cache: root.path().join("cache"), data: root.path().join("data") };
        let folder = Folder::passing(&places).unwrap();
        folder.secrets().unwrap();
        let second = Folder::passing(&places).unwrap_err().to_string();
        assert!(second.contains("end it with Ctrl-C"), "{second}");
        folder.leave().unwrap();
        assert!(!places.data.join("check").exists());
    }
}
