//! Pseudonyms: the only form in which an identifier leaves the process.

use sha2::{Digest as _, Sha256};

/// Turns identifiers into pseudonyms by a salted hash.
///
/// The same identifier and salt give the same pseudonym, so that tables of one user join; without the salt a pseudonym
/// can't be traced back by trying all identifiers. What is a pseudonym of its kind already stays as it is, so that tables made
/// from one another join too.
///
/// ```
/// use hounsfield::ct::Pseudonymizer;
/// let ids = Pseudonymizer::new(b"a secret of 16+ bytes");
/// assert_eq!(ids.patient("Jane Doe"), ids.patient("Jane Doe"));
/// assert!(ids.patient("Jane Doe").starts_with("pat-"));
/// assert_eq!(ids.patient(&ids.patient("Jane Doe")), ids.patient("Jane Doe"));
/// ```
#[derive(Clone)]
pub struct Pseudonymizer {
    salt: Option<Vec<u8>>,
}

impl Pseudonymizer {
    /// Pseudonyms under this salt.
    pub fn new(salt: &[u8]) -> Self {
        Self {
            salt: Some(salt.to_vec()),
        }
    }

    /// Leaves identifiers as they are: for tables that hold pseudonyms already, and for those who may.
    pub fn keep() -> Self {
        Self { salt: None }
    }

    /// Whether identifiers are left as they are.
    pub fn keeps(&self) -> bool {
        self.salt.is_none()
    }

    /// `pat-` and 16 hexadecimal digits.
    pub fn patient(&self, id: &str) -> String {
        self.pseudonym("pat", id)
    }

    /// `std-` and 16 hexadecimal digits.
    pub fn study(&self, id: &str) -> String {
        self.pseudonym("std", id)
    }

    /// `scn-` and 16 hexadecimal digits.
    pub fn scan(&self, id: &str) -> String {
        self.pseudonym("scn", id)
    }

    /// `slc-` and 16 hexadecimal digits.
    pub fn slice(&self, id: &str) -> String {
        self.pseudonym("slc", id)
    }

    /// `sit-` and 16 hexadecimal digits.
    pub fn site(&self, name: &str) -> String {
        self.pseudonym("sit", name)
    }

    fn pseudonym(&self, kind: &str, id: &str) -> String {
        let Some(salt) = self.salt.as_ref().filter(|_| !is_pseudonym(kind, id)) else {
            return id.to_owned();
        };
        let hash = Sha256::new()
            .chain_update((salt.len() as u64).to_le_bytes())
            .chain_update(salt)
            .chain_update(kind)
            .chain_update(id)
            .finalize();
        let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{kind}-{hex}")
    }
}

/// Whether it was made by a pseudonymizer, with whatever salt.
fn is_pseudonym(kind: &str, id: &str) -> bool {
    let digits = id.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-'));
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

impl std::fmt::Debug for Pseudonymizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.salt.is_some() {
            "Pseudonymizer(salted)"
        } else {
            "Pseudonymizer(keep)"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Pseudonymizer;

    #[test]
    fn pseudonyms_depend_on_the_salt_and_the_kind_of_id() {
        let (a, b) = (Pseudonymizer::new(b"one"), Pseudonymizer::new(b"two"));
        assert_ne!(a.patient("7"), b.patient("7"));
        assert_ne!(a.patient("7")[4..], a.scan("7")[4..]);
        assert_eq!(b.patient(&a.patient("7")), a.patient("7"));
        assert_ne!(b.scan(&a.patient("7")), a.patient("7"));
        assert_ne!(a.patient("pat-7"), "pat-7");
        assert_eq!(Pseudonymizer::keep().patient("7"), "7");
        assert!(!format!("{a:?}").contains("one"));
    }
}
