//! The Ed25519 keys of access tokens: a folder of `<kid>.pem` files. The last one by name signs,
//! all are published. `<kid>.next.pem` is published but does not sign yet, so that every gateway
//! knows a key before the first one signs with it. It never creates a key.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{
    SigningKey,
    pkcs8::{self, DecodePrivateKey, EncodePrivateKey},
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Value, json};

/// The suffix of the name of a key that does not sign yet.
const NEXT: &str = ".next";

/// The keys of access tokens.
pub struct SigningKeys {
    /// The id of the key that signs.
    pub(super) kid: String,
    /// The key that signs.
    pub(super) signing: EncodingKey,
    /// All public keys by id, for verification.
    pub(super) known: BTreeMap<String, DecodingKey>,
    /// All public keys as JSON Web Keys.
    published: Vec<Value>,
}

/// Why the signing keys could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder or a file in it can't be read.
    #[error("can't read {path}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds no Ed25519 key.
    #[error("{path} is no Ed25519 private key in PKCS8 PEM")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pkcs8::Error,
    },
    /// The folder holds no key that signs.
    #[error("{0} holds no <kid>.pem; create one: openssl genpkey -algorithm ed25519")]
    None(PathBuf),
}

impl SigningKeys {
    /// Reads all keys of `folder`.
    ///
    /// # Errors
    /// Returns an error when there is no key, or when one can't be read: skipping it would
    /// invalidate the tokens that it signed.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| LoadError::File { path, source }
        };
        let mut keys = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(file(folder))? {
            let path = entry.map_err(file(folder))?.path();
            let kid = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            let (Some(kid), Some("pem")) = (kid, path.extension().and_then(|kind| kind.to_str()))
            else {
                continue;
            };
            let pem = std::fs::read_to_string(&path).map_err(file(&path))?;
            let key = SigningKey::from_pkcs8_pem(pem.trim())
                .map_err(|source| LoadError::Key { path, source })?;
            keys.insert(kid, key);
        }
        Self::of(keys).ok_or_else(|| LoadError::None(folder.to_owned()))
    }

    /// The keys of this map, by the name of their file without `.pem`. `None` when none can sign.
    pub fn of(keys: BTreeMap<String, SigningKey>) -> Option<Self> {
        let (kid, newest) = keys.iter().rfind(|(name, _)| !name.ends_with(NEXT))?;
        let signing = EncodingKey::from_ed_der(newest.to_pkcs8_der().ok()?.as_bytes());
        let kid = kid.clone();
        let mut known = BTreeMap::new();
        let mut published = Vec::new();
        for (name, key) in &keys {
            let kid = name.strip_suffix(NEXT).unwrap_or(name).to_owned();
            let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
            known.insert(kid.clone(), DecodingKey::from_ed_components(&x).ok()?);
            published.push(json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x,
            }));
        }
        Some(Self { kid, signing, known, published })
    }

    /// The public keys as a JSON Web Key Set.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.published })
    }
}
