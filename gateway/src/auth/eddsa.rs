//! Ed25519 for `jsonwebtoken`, the only algorithm of access tokens. The crate's own providers would
//! bring RSA and other curves. It never signs or verifies with another algorithm.

use std::result::Result as StdResult;

use ed25519_dalek::{Signature, SigningKey, VerifyingKey, pkcs8::DecodePrivateKey as _};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error, Signer, Verifier},
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // These are for keys in tokens' headers, which are ignored.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `jsonwebtoken` use this file, in the whole process.
pub(super) fn install() {
    // A second call finds the provider of the first one.
    PROVIDER.install_default().ok();
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    check(*algorithm, key.family())?;
    let key = SigningKey::from_pkcs8_der(key.as_bytes());
    Ok(Box::new(EdSigner(key.map_err(|_| ErrorKind::InvalidEddsaKey)?)))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    check(*algorithm, key.family())?;
    let bytes = key.try_get_as_bytes()?.try_into().map_err(|_| ErrorKind::InvalidEddsaKey)?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    Ok(Box::new(EdVerifier(key)))
}

fn check(algorithm: Algorithm, family: AlgorithmFamily) -> Result<()> {
    match (algorithm, family) {
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ok(()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

struct EdSigner(SigningKey);

impl Signer<Vec<u8>> for EdSigner {
    fn try_sign(&self, message: &[u8]) -> StdResult<Vec<u8>, Error> {
        let signature: Signature = self.0.try_sign(message)?;
        Ok(signature.to_bytes().to_vec())
    }
}

impl JwtSigner for EdSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct EdVerifier(VerifyingKey);

impl Verifier<Vec<u8>> for EdVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> StdResult<(), Error> {
        self.0.verify_strict(message, &Signature::from_slice(signature)?)
    }
}

impl JwtVerifier for EdVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second test vector of RFC 8032, 7.1.
    const SECRET: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    #[test]
    fn signature_is_that_of_the_standard_and_is_verified() {
        let secret: [u8; 32] = hex::decode(SECRET).expect("hex").try_into().expect("32 bytes");
        let signer = EdSigner(SigningKey::from_bytes(&secret));
        let signature = signer.try_sign(&[0x72]).expect("a signature");
        assert_eq!(hex::encode(&signature), SIGNATURE);

        let verifier = EdVerifier(signer.0.verifying_key());
        assert!(verifier.verify(&[0x72], &signature).is_ok());
        assert!(verifier.verify(&[0x73], &signature).is_err());
        assert!(verifier.verify(&[0x72], &signature[1..].to_vec()).is_err());
    }

    #[test]
    fn other_algorithms_are_refused() {
        let key = EncodingKey::from_secret(b"a secret");
        assert!(signer(&Algorithm::HS256, &key).is_err());
        assert!(signer(&Algorithm::EdDSA, &key).is_err());
        assert!(verifier(&Algorithm::HS256, &DecodingKey::from_secret(b"a secret")).is_err());
    }
}
