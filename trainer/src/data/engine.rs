//! Where data is read: by this process, or by the workers of a cluster.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// Where queries and statistics are computed; results are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// In this process.
    #[default]
    Here,
    /// On a Ballista cluster whose workers have Hearth's functions: `trainer scheduler` and `trainer worker`.
    #[cfg(feature = "cluster")]
    Ballista(Cluster),
}

/// A Ballista cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Where its scheduler listens.
    pub scheduler: Address,
    /// Parts that a query is worked on in; two or three for each core of all workers keep them busy.
    pub parts: usize,
}

/// The parts of a query where the URL has none.
const PARTS: usize = 16;
/// The most that a URL may ask for.
const MOST_PARTS: usize = 4_096;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an address; one of IPv6 without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a text is no engine or no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Neither of the two.
    #[error("`{got}` is no engine; write `local` or `ballista://HOST:PORT`, such as ballista://127.0.0.1:50050")]
    Engine {
        /// What was given.
        got: String,
    },
    /// No host and port.
    #[error("`{got}` is no address; write HOST:PORT, such as 127.0.0.1:50050 or [::1]:50050")]
    Address {
        /// What was given.
        got: String,
    },
    /// Something after the address.
    #[error("`{got}` is no setting of a cluster; write ?parts=N with N from 1 to {MOST_PARTS}, such as ?parts=64")]
    Setting {
        /// What was given.
        got: String,
    },
    /// This build has no clusters.
    #[error(
        "this trainer was built without clusters; build it with `cargo build --package trainer --features cluster`"
    )]
    NotBuilt,
}

impl FromStr for Engine {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Engine, EngineError> {
        if text == "local" {
            return Ok(Engine::Here);
        }
        let cluster = text.strip_prefix("ballista://").ok_or_else(|| EngineError::Engine { got: text.into() })?;
        of_cluster(cluster.parse()?)
    }
}

#[cfg(feature = "cluster")]
fn of_cluster(cluster: Cluster) -> Result<Engine, EngineError> {
    Ok(Engine::Ballista(cluster))
}

#[cfg(not(feature = "cluster"))]
fn of_cluster(_: Cluster) -> Result<Engine, EngineError> {
    Err(EngineError::NotBuilt)
}

impl FromStr for Cluster {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Cluster, EngineError> {
        let (address, settings) = match text.split_once('?') {
            Some((address, settings)) => (address, Some(settings)),
            None => (text, None),
        };
        let setting = |settings: &str| {
            let parts =
                settings.strip_prefix("parts=").and_then(|n| n.parse().ok()).filter(|n| (1..=MOST_PARTS).contains(n));
            parts.ok_or_else(|| EngineError::Setting { got: settings.into() })
        };
        let parts = settings.map_or(Ok(PARTS), setting)?;
        Ok(Cluster { scheduler: address.strip_suffix('/').unwrap_or(address).parse()?, parts })
    }
}

impl FromStr for Address {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Address, EngineError> {
        let wrong = || EngineError::Address { got: text.into() };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|host| host.parse::<std::net::Ipv6Addr>().is_ok()),
            None => Some(host).filter(|host| is_name(host)),
        };
        Ok(Address { host: host.ok_or_else(wrong)?.into(), port: port.parse().map_err(|_| wrong())? })
    }
}

/// Whether a host may be called so.
fn is_name(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

impl Address {
    /// The host as it stands before a colon.
    pub fn bracketed(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        }
    }

    /// Whether it is reached by loopback; a name that is not known is not.
    pub fn is_loopback(&self) -> bool {
        let known = (self.host.as_str(), self.port).to_socket_addrs();
        known.is_ok_and(|mut addresses| addresses.any(|address| address.ip().is_loopback()))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bracketed(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_named_by_their_schedulers() {
        let cases = [
            ("127.0.0.1:50050", "127.0.0.1:50050", PARTS),
            ("scheduler.internal:1/", "scheduler.internal:1", PARTS),
            ("[::1]:65535?parts=64", "[::1]:65535", 64),
        ];
        for (text, address, parts) in cases {
            let cluster: Cluster = text.parse().unwrap();
            assert_eq!((cluster.scheduler.to_string().as_str(), cluster.parts), (address, parts));
        }
        assert_eq!("local".parse(), Ok(Engine::Here));
        let engine = "ballista://127.0.0.1:50050".parse::<Engine>();
        assert_eq!(engine.is_ok(), cfg!(feature = "cluster"), "{engine:?}");
    }

    #[test]
    fn what_is_no_engine_is_told_how_to_write_one() {
        let cases = [
            ("spark://host:7077", "no engine"),
            ("127.0.0.1:50050", "no engine"),
            ("ballista://", "no address"),
            ("ballista://host", "no address"),
            ("ballista://host:port", "no address"),
            ("ballista://:50050", "no address"),
            ("ballista://a b:50050", "no address"),
            ("ballista://::1:50050", "no address"),
            ("ballista://host:65536", "no address"),
            ("ballista://host:1?parts=0", "no setting"),
            ("ballista://host:1?parts=1152921504606846976", "no setting"),
            ("ballista://host:1?cores=2", "no setting"),
        ];
        for (text, words) in cases {
            let error = text.parse::<Engine>().unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("write"), "{text}: {error}");
        }
    }
}
