//! A private certificate authority, by openssl.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// Its files are PEM; dropped, they are gone.
pub(crate) struct Authority(TempDir);

impl Authority {
    pub(crate) fn new() -> Self {
        let authority = Self(TempDir::new().expect("a temporary folder"));
        authority.openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=private -days 2");
        std::fs::write(authority.path("names"), "subjectAltName=IP:127.0.0.1").expect("the folder can be written");
        authority
    }

    /// The authority's own certificate.
    pub(crate) fn certificate(&self) -> String {
        self.path("ca.crt").display().to_string()
    }

    /// A certificate for 127.0.0.1 and its key.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        self.openssl(&format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        let by = "-CA ca.crt -CAkey ca.key -days 2 -extfile names";
        self.openssl(&format!("x509 -req -in {name}.csr {by} -out {name}.crt"));
        let file = |end: &str| self.path(&format!("{name}.{end}")).display().to_string();
        (file("crt"), file("key"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[track_caller]
    fn openssl(&self, args: &str) {
        let done = Command::new("openssl").args(args.split(' ')).current_dir(self.0.path()).output();
        let done = done.expect("openssl is there");
        assert!(done.status.success(), "{args}: {}", String::from_utf8_lossy(&done.stderr));
    }
}
